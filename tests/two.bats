#!/usr/bin/env bats
# Two mounts of one user: they share one private server without any set-up.

load helper

setup_file() {
	mount_start -o timeout=60 # many write to the same actor at once, maybe on a busy machine
	mount_start -n other -o timeout=60
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	B="$D/other/t/a$BATS_TEST_NUMBER"
}

servers() {
	processes "nats-server.*$D/state"
}

@test "one private server serves both" {
	assert_equal "$(servers | wc -l)" 1
}

@test "the private server acknowledges after fsync, but for 2.9, which cannot" {
	run grep -c 'sync_interval: *always' "$D/state/nats.conf"
	case $(PATH="$PATH:/usr/sbin" "${AETHER_NATS_SERVER:-nats-server}" --version) in
	*v2.9.*) assert_output 0 ;;
	*) assert_output 1 ;;
	esac
}

@test "a namespace is seen by the other at once" {
	for i in {1..20}; do
		mkdir "$M/made-$i"
		[[ -d $D/other/made-$i ]]
	done
}

@test "a new actor is seen by the other at once" {
	for i in {1..20}; do
		echo "$i" >>"$A-$i"
		assert_equal "$(events "$B-$i")" "$i"
	done
}

@test "a write is seen by the other's next open" {
	for i in {1..50}; do
		echo "a$i" >>"$A"
		assert_equal "$(tail -n 1 "$B" | jq -r .data.text)" "a$i"
		echo "b$i" >>"$B"
		assert_equal "$(tail -n 1 "$A" | jq -r .data.text)" "b$i"
	done
}

@test "a write is seen by the other's next version read" {
	for i in {1..50}; do
		echo "a$i" >>"$A"
		assert_equal "$(version_of "$B")" "$i"
	done
}

@test "the size is seen by the other soon" {
	echo x >>"$A"
	stat "$B" >/dev/null
	seq 100 >>"$A"
	size="$(stat -c %s "$A")"
	wait_for 30 bash -c '[[ $(stat -c %s "$0") == "$1" ]]' "$B" "$size"
}

@test "both replay the same bytes" {
	seq 100 >>"$A"
	seq 101 200 >>"$B"
	cmp "$A" "$B"
	assert_versions_1_to 200 "$B"
}

# lines FILE PREFIX COUNT: one write for each line, all must succeed.
lines() {
	for i in $(seq "$3"); do
		echo "$2-$i" >>"$1"
	done
}

@test "appends of both at the same time: none is lost, none is there twice" {
	lines "$A" left 200 3>&- &
	lines "$B" right 200 3>&- &
	wait
	assert_versions_1_to 400 "$A"
	cmp "$A" "$B"
	diff <(events "$A" | sort) <({ seq -f 'left-%g' 200; seq -f 'right-%g' 200; } | sort)
	assert_equal "$(events "$A" | grep left)" "$(seq -f 'left-%g' 200)"
}

@test "eight writers on one actor through both mounts" {
	for w in 1 2 3 4; do
		lines "$A" "a$w" 25 3>&- &
		lines "$B" "b$w" 25 3>&- &
	done
	wait
	assert_versions_1_to 200 "$A"
	assert_equal "$(events "$B" | sort -u | wc -l)" 200
}

@test "writers of both creating the same actor" {
	for i in {1..20}; do
		echo left >>"$A-$i" &
		echo right >>"$B-$i"
		wait
		assert_equal "$(events "$A-$i" | sort | xargs)" 'left right'
	done
}

@test "both make the same namespace: one succeeds, one learns that it exists" {
	for i in {1..20}; do
		"$ERRNO_DO" mkdir "$M/race-$i" >"$D/race.a" 3>&- &
		"$ERRNO_DO" mkdir "$D/other/race-$i" >"$D/race.b" || true
		wait
		assert_equal "$(sort "$D/race.a" "$D/race.b" | xargs)" 'EEXIST OK'
	done
}

@test "an explicit version that the other took is ESTALE" {
	echo '{"eventType":"T","version":1}' >>"$A"
	assert_errno ESTALE append "$B" $'{"eventType":"T","version":1}\n'
	assert_errno OK append "$B" $'{"eventType":"T","version":2}\n'
	assert_equal "$(events "$A" .version | xargs)" '1 2'
}

@test "an id that the other stored is known" {
	echo '{"eventType":"T","id":"x","data":{"a":1}}' >>"$A"
	assert_errno OK append "$B" $'{"eventType":"T","id":"x","data":{"a":1}}\n'
	assert_errno EEXIST append "$B" $'{"eventType":"T","id":"x","data":{"a":2}}\n'
	assert_equal "$(version_of "$A")" 1
}

@test "a namespace that the other removed is gone" {
	mkdir "$M/gone"
	[[ -d $D/other/gone ]]
	rmdir "$D/other/gone"
	wait_for 30 not test -e "$M/gone"
	assert_errno ENOENT append "$M/gone/x" $'x\n'
}

@test "a removal and an append at the same moment: the append is kept or refused" {
	for i in {1..20}; do
		mkdir "$M/fence-$i"
		"$ERRNO_DO" append "$D/other/fence-$i/a" $'kept\n' >"$D/fence" 3>&- &
		rmdir "$M/fence-$i" 2>/dev/null || true
		wait
		case $(cat "$D/fence") in
		OK) assert_equal "$(events "$D/other/fence-$i/a")" kept ;;
		*) assert_equal "$(cat "$D/fence")" ENOENT ;;
		esac
	done
}

@test "the one that stays goes on when the other leaves, and finds it back" {
	echo before >>"$A"
	mount_stop
	echo alone >>"$B"
	assert_equal "$(servers | wc -l)" 1
	mount_start
	echo again >>"$A"
	assert_equal "$(events "$B" | xargs)" 'before alone again'
}

@test "the last one out stops the server" {
	mount_stop other
	mount_stop
	wait_for 30 none "nats-server.*$D/state"
	wait_for 30 none "supervise.*$D/state"
	mount_start
	mount_start -n other
	assert_equal "$(servers | wc -l)" 1
}

@test "two mounts that start at the same moment share one server" {
	mount_stop other
	mount_stop
	mount_start 3>&- &
	mount_start -n other
	wait
	wait_for 30 test -e "$M/.aether/version"
	assert_equal "$(servers | wc -l)" 1
	echo x >>"$A"
	assert_equal "$(events "$B")" x
}
