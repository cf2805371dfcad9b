#!/usr/bin/env bats
# Many nodes append to one actor: nothing is lost, nothing is there twice, whoever sequences it, and whatever becomes of that one.

load helper
load live
load nodes

MOUNTS=(mnt two three four)

setup_file() {
	mount_start --node-id one -o timeout=60
	for m in "${MOUNTS[@]:1}"; do mount_start -n "$m" --node-id "$m" -o timeout=60; done
	mkdir "$N"
	wait_for 30 settled mnt 4
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
}

# writers WRITERS COUNT: on every mount so many processes append so many lines each to the test's actor; the job of each is in PIDS.
writers() {
	local m w
	PIDS=()
	for m in "${MOUNTS[@]}"; do
		for ((w = 0; w < $1; w++)); do
			seq -f "$m.$w.%g" "$2" | while read -r line; do echo "$line" || echo "failed $line" >>"$D/failed"; done >>"$D/$m/t/${A##*/}" 3>&- 4>&- &
			PIDS+=($!)
		done
	done
}

# all_there WRITERS COUNT: is each of those lines there once, each writer's in its order, versions without a hole, the same on every node?
all_there() {
	local total=$((${#MOUNTS[@]} * $1 * $2)) m
	[[ ! -e $D/failed ]] || fail "$(head "$D/failed")"
	assert_versions_1_to "$total" "$A"
	for m in "${MOUNTS[@]:1}"; do cmp "$A" "$D/$m/t/${A##*/}"; done
	events "$A" | awk -F. -v count="$2" '$3 != last[$1 "." $2] + 1 { print "out of order: " $0; exit 1 } { last[$1 "." $2] = $3 }'
}

@test "4 nodes with 8 writers each" {
	writers 8 30
	wait "${PIDS[@]}"
	all_there 8 30
}

@test "own appends are visible at once, and at the version that was told" {
	writers 2 60
	for i in {1..40}; do
		version="$("$AETHER" append "$D/two/t/${A##*/}" "mine $i")"
		assert_equal "$(jq -r .data.text <"$D/two/t/.aether/actors/${A##*/}/events/$version")" "mine $i"
		[[ $(version_of "$D/two/t/${A##*/}") -ge $version ]]
	done
	wait "${PIDS[@]}"
	assert_versions_1_to 520 "$A"
}

@test "appends with versions conflict as ever, and retries by their writers all succeed in the end" {
	for m in "${MOUNTS[@]}"; do
		(
			actor="$D/$m/t/${A##*/}"
			for ((done = 0; done < 15;)); do
				version="$(version_of "$actor" 2>/dev/null || echo 0)"
				! "$AETHER" append "$actor" --version $((version + 1)) "$m" >/dev/null 2>&1 || done=$((done + 1))
			done
		) 3>&- 4>&- &
	done
	wait
	assert_versions_1_to 60 "$A"
}

@test "the owner is killed in the middle: the others go on, and nothing is lost or there twice" {
	owner="$(cat "$N/.aether/actors/a1/owner")"
	# An actor whose owner is a node that can be spared.
	for ((i = 0; ; i++)); do
		A="$N/kill-$i"
		: >>"$A"
		owner="$(cat "$N/.aether/actors/kill-$i/owner")"
		[[ $owner == one ]] || break
	done
	MOUNTS=(mnt two three four)
	mapfile -t MOUNTS < <(printf '%s\n' "${MOUNTS[@]}" | grep -vx "$owner")
	writers 4 60
	wait_for 60 bash -c '(($(wc -l <"$0") > 100))' "$A"
	mount_kill "$owner"
	wait "${PIDS[@]}"
	all_there 4 60
	umount -l "$D/$owner"
	mount_start -n "$owner" --node-id "$owner" -o timeout=60
	wait_for 30 settled mnt 4
}

@test "the owner is stopped in the middle, and goes on later" {
	for ((i = 0; ; i++)); do
		A="$N/stop-$i"
		: >>"$A"
		owner="$(cat "$N/.aether/actors/stop-$i/owner")"
		[[ $owner == one ]] || break
	done
	mapfile -t MOUNTS < <(printf '%s\n' "${MOUNTS[@]}" | grep -vx "$owner")
	writers 4 80
	for size in 100 300; do
		wait_for 60 bash -c '(($(wc -l <"$0") > $1))' "$A" "$size"
		kill -STOP "$(cat "$D/$owner.pid")"
		wait_for 60 bash -c '(($(wc -l <"$0") > $1 + 50))' "$A" "$size"
		kill -CONT "$(cat "$D/$owner.pid")"
	done
	wait "${PIDS[@]}"
	all_there 4 80
	wait_for 30 settled mnt 4
}
