#!/usr/bin/env bats
# The README's loop under "Optimistic concurrency": of many that count in one actor at the same time, none loses a step.

load helper

setup_file() {
	mount_start -o timeout=30
	mount_start -n other -o timeout=30
	mkdir "$N"
	awk '/^##/ { of = $0 == "### Optimistic concurrency" } of && /^```$/ { on = 0 } on; of && /^```sh$/ { on = 1 }' "$TESTS/../README.md" >"$D/count"
	[[ $(wc -l <"$D/count") -gt 10 ]]
}

# count_all PROCESSES TIMES: so many processes on each mount run the loop.
count_all() {
	local i m pids=()
	for ((i = 0; i < $1; i++)); do
		for m in "$M" "$D/other"; do
			bash "$D/count" "$m/t/${A##*/}" "$2" 3>&- 4>&- &
			pids+=($!)
		done
	done
	for i in "${pids[@]}"; do wait "$i"; done
}

@test "eight processes on two mounts count to 800, one by one" {
	count_all 4 100
	for m in "$M" "$D/other"; do
		assert_equal "$(jq .count "$m/t/.aether/actors/${A##*/}/state")" 800
		assert_versions_1_to 800 "$m/t/${A##*/}"
	done
	diff <(events "$A" .data.count) <(seq 800)
	grep -q "${A##*/}" "$N/.aether/conflicts" "$D/other/t/.aether/conflicts" # there was something to lose
}

@test "a failure that is no conflict ends the loop" {
	echo '{"count":7}' >>"$A"
	mount_start -n ro -o ro
	touch() { :; } # else it ends before it has begun
	export -f touch
	run timeout 60 bash "$D/count" "$D/ro/t/${A##*/}" 1
	assert_failure 1
	assert_output --partial 'Read-only file system'
	assert_equal "$(version_of "$A")" 1
	mount_stop ro
}
