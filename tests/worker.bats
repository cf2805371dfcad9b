#!/usr/bin/env bats
# The README's worker: every event gets one result, whatever becomes of the nodes.

load helper
load nodes

MOUNTS=(mnt two three)

setup_file() {
	mount_start --node-id mnt -o timeout=60
	for m in "${MOUNTS[@]:1}"; do mount_start -n "$m" --node-id "$m" -o timeout=60; done
	mkdir "$M/jobs" "$M/results"
	wait_for 30 settled mnt 3
	awk '/^```sh$/ { getline; if ($0 == "#!/bin/bash") on = 1 } /^```$/ { on = 0 } on' "$TESTS/../README.md" >"$D/worker"
	[[ $(wc -l <"$D/worker") -gt 10 ]]
	mkdir "$D/bin"
	ln -s "$(realpath "$AETHER")" "$D/bin/aether"
}

# worker_start MOUNT: its group's id goes to D/worker.MOUNT.
worker_start() {
	PATH="$D/bin:$PATH" setsid bash "$D/worker" "$D/$1" </dev/null >>"$D/worker.log" 2>&1 3>&- 4>&- &
	echo $! >"$D/worker.$1"
	disown
}

worker_kill() {
	kill -KILL -- "-$(cat "$D/worker.$1")" || true
}

teardown_file() {
	for m in "${MOUNTS[@]}"; do worker_kill "$m"; done
	stop_all
}

# jobs FROM TO: so many events for each of 8 actors, by way of any mount.
jobs() {
	local n actor
	for ((n = $1; n <= $2; n++)); do
		for actor in j{1..8}; do echo "{\"n\":$n}" >>"$M/jobs/$actor"; done
	done
}

# complete COUNT: has each actor a result for each of its events, in order?
complete() {
	local actor
	for actor in j{1..8}; do
		[[ $(jq -c '[.version, .data.n, .data.square]' <"$M/results/$actor") == "$(seq "$1" | awk '{ printf "[%d,%d,%d]\n", $1, $1, $1 * $1 }')" ]] || return 1
	done
}

@test "three workers; one node is killed in the middle, with its worker" {
	jobs 1 2
	for m in "${MOUNTS[@]}"; do worker_start "$m"; done
	jobs 3 4
	wait_for 60 complete 4
	jobs 5 9 3>&- &
	wait_for 60 test -s "$M/results/j1"
	mount_kill two
	worker_kill two
	wait $!
	jobs 10 11
	wait_for 60 complete 11
}

@test "the node comes back: its worker goes on with its share" {
	worker_kill two
	umount -l "$D/two"
	mount_start -n two --node-id two -o timeout=60
	wait_for 30 settled mnt 3
	worker_start two
	jobs 12 13
	wait_for 60 complete 13
	# Nothing was done twice: the results are all there are.
	for actor in j{1..8}; do assert_versions_1_to 13 "$M/results/$actor"; done
}
