#!/usr/bin/env bats
# Nodes and server on a network each, with links between that can be cut: nothing else is shared but the file system of the machine.

load ../helper
load ../away
load ../networks

TIMEOUT=5
# The server's and the two nodes' addresses; no packet of these leaves the machine.
declare -A ADDRESS=([server]=10.113.0.1 [a]=10.113.0.2 [b]=10.113.0.3)

setup_file() {
	networks_start
	server_start
	MOUNT_IN="$(in_net a)" mount_start --nats "nats://${ADDRESS[server]}:4222" -o "timeout=$TIMEOUT"
	MOUNT_IN="$(in_net b)" mount_start -n other --nats "nats://${ADDRESS[server]}:4222" -o "timeout=$TIMEOUT"
	mkdir "$N"
}

setup() {
	live_setup
}

teardown() {
	local node
	live_teardown
	for node in "${!ADDRESS[@]}"; do link "$node" up; done
}

teardown_file() {
	stop_all
	networks_stop
}

server_start() {
	local dir="$D/server"
	mkdir -p "$dir"
	# Not by the function, whose process would be another one than the server.
	$(in_net server) "${AETHER_NATS_SERVER:-nats-server}" -a "${ADDRESS[server]}" -p 4222 -js -sd "$dir" </dev/null >"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$D/nats.pid.server"
	disown
	wait_for 20 inside server bash -c 'exec 9<>"/dev/tcp/$0/4222"' "${ADDRESS[server]}"
}

@test "the nodes share no network" {
	run inside a ip -brief address show eth0
	assert_output --partial "${ADDRESS[a]}/24"
	run bash -c 'exec 9<>"/dev/tcp/$0/4222"' "${ADDRESS[server]}"
	assert_failure
}

@test "what one node does is told on the other" {
	live_watch
	live_write
	live_more 100
	live_end
}

@test "one node's link is cut for 30 seconds, and mended" {
	live_watch
	live_write
	live_more 15
	link a down
	end="$((EPOCHSECONDS + 30))"
	live_more 100
	wait_for 60 past "$end"
	link a up
	live_more 15
	live_end
}

@test "a node whose link is cut for all that is written is told of all of it" {
	live_watch
	link a down
	live_write
	live_more "$LIVE_OLD"
	rm "$D/live.writing"
	wait_for 120 test -s "$D/live.rc"
	assert_equal "$(grep -c "^MODIFY .*-$T" "$D/live.seen")" 0
	touch "$D/live.writing"
	link a up
	live_end
}

@test "the server's link is cut for 30 seconds, and mended" {
	live_watch
	live_write
	live_more 15
	link server down
	wait_for 60 past "$((EPOCHSECONDS + 30))"
	link server up
	live_more 15
	live_end
}

@test "both nodes' links come and go" {
	live_watch
	live_write
	for node in a b a b; do
		link "$node" down
		wait_for 60 past "$((EPOCHSECONDS + 3))"
		link "$node" up
		live_more 10
	done
	live_end
}
