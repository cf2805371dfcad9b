#!/usr/bin/env bats
# What a watch on one node tells of another's changes when the server or the consumers fail meanwhile.

load helper
load away

TIMEOUT=5

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	mount_start -n other --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	mkdir "$N"
}

setup() {
	live_setup
	live_server "127.0.0.1/$(cat "$D/nats/port")"
}

teardown() {
	live_teardown
	[[ -e $D/nats/pid ]] || nats_start
	eval "$(thaw)"
}

teardown_file() {
	stop_all
}

@test "the server is killed and started again, and again" {
	live_watch
	live_write
	for _ in 1 2 3; do
		live_more 15
		nats_kill
		nats_start
	done
	live_more 15
	live_end
}

@test "the server stands still for longer than heartbeats" {
	live_watch
	live_write
	live_more 15
	eval "$(freeze)"
	wait_for 60 past "$((EPOCHSECONDS + 12))"
	eval "$(thaw)"
	live_more 15
	live_end
}

@test "all consumers are deleted" {
	live_watch
	live_write
	live_more 15
	delete_consumers
	live_more 15
	live_end
}

@test "all consumers are deleted when nothing has happened for a while" {
	live_watch
	delete_consumers
	live_write
	live_more 1
	live_end
}

@test "all consumers are deleted again and again" {
	live_watch
	live_write
	for _ in {1..25}; do
		live_more 2
		delete_consumers
	done
	live_end
}

@test "a namespace that was made anew behind the back of all can be watched" {
	NS="again-$T"
	insist OK mkdir "$D/other/$NS"
	insist OK stat "$D/mnt/$NS"
	live_watch_only "$D/mnt"
	ask "\$JS.API.STREAM.DELETE.aether-$NS" | jq -e .success
	wait_for 60 mkdir "$D/other/$NS" # once the node knows that it is gone
	wait_for 90 live_seen CREATE,ISDIR "$NS"
	live_teardown
	live_watch_only "$D/mnt/$NS"
	insist OK append "$D/other/$NS/new" $'1\n'
	wait_for 90 live_seen CREATE new
	wait_for 90 live_seen MODIFY new
}

# What the node does not know yet it must ask for, and waits; what it knows is shown, and appends fail in their time.
@test "while NATS is away the mount under a watch does not hang" {
	live_watch
	exec 7<"$A/all-$T"
	cat "$A/all-$T" >"$D/live.copy"
	nats_kill
	for i in 1 2; do
		assert_errno ETIMEDOUT append "$A/all-$T" "$i"$'\n'
	done
	cmp "$D/live.copy" - <&7
	exec 7<&- # for the server, which is started now, would have it
	ls "$D/mnt/.aether" >/dev/null
	wait_for 30 bash -c 'pgrep -P "$0" -f "aether poke"' "$(cat "$D/mnt.pid")"
	nats_start
	insist OK append "$B/all-$T" $'x\n'
	wait_for 90 live_seen MODIFY "all-$T"
}
