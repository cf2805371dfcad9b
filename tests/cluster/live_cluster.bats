#!/usr/bin/env bats
# What a watch on one node tells of another's changes when servers of a cluster fail, its leaders move or its consumers are lost.

load ../helper
load ../away
load ../servers

# An election may take long on a busy machine.
TIMEOUT=60

setup_file() {
	servers_start
	mount_start --nats "$(urls)" --replicas 3 -o "timeout=$TIMEOUT"
	mount_start -n other --nats "$(urls)" --replicas 3 -o "timeout=$TIMEOUT"
	insist 'OK|EEXIST' mkdir "$N"
}

setup() {
	export LIVE_GONE=2
	cluster_back
	live_setup
}

teardown() {
	live_teardown
}

teardown_file() {
	local i
	cluster_back
	stop_all
	for i in "${SERVERS[@]}"; do server_kill "$i"; done
}

# The number of the server that leads the stream of the namespace t.
leader() {
	ask '$JS.API.STREAM.INFO.aether-t' | jq -re '.cluster.leader | ltrimstr("s")'
}

led() {
	leader >"$D/leader" && [[ -s $D/leader ]]
}

# Another leads than that one.
led_by_other() {
	local now
	now="$(leader)" && [[ $now != "$1" ]]
}

# Ask a server that runs.
ask_other_than() {
	local other=$(($1 % 3 + 1))
	live_server "127.0.0.1/$(client_port "$other")"
}

step_down() {
	ask '$JS.API.STREAM.LEADER.STEPDOWN.aether-t' | jq -e .success
}

@test "leaders move" {
	live_watch
	live_write
	for _ in 1 2 3; do
		live_more 10
		wait_for 60 led
		old="$(<"$D/leader")"
		wait_for 30 step_down
		wait_for 60 led_by_other "$old"
	done
	live_more 10
	live_end
}

@test "the leader is killed, and started again" {
	live_watch
	live_write
	for _ in 1 2; do
		live_more 10
		wait_for 60 led
		old="$(<"$D/leader")"
		server_kill "$old"
		ask_other_than "$old"
		wait_for 60 led_by_other "$old"
		live_more 10
		server_start "$old"
		wait_for 60 cluster_ready
	done
	live_end
}

@test "all servers are killed, and started again" {
	live_watch
	live_write
	live_more 10
	for i in "${SERVERS[@]}"; do server_kill "$i"; done
	for i in "${SERVERS[@]}"; do server_start "$i"; done
	wait_for 60 cluster_ready
	live_more 10
	live_end
}

@test "all consumers are deleted, again and again" {
	live_watch
	live_write
	for _ in {1..8}; do
		live_more 5
		delete_consumers
	done
	live_end
}

@test "the server that a node is connected to is killed" {
	live_watch
	live_write
	for _ in 1 2; do
		live_more 10
		mine="$(jq -r .nats.url "$D/mnt/.aether/status")"
		for i in "${SERVERS[@]}"; do [[ $mine != *:"$(client_port "$i")"* ]] || break; done
		server_kill "$i"
		ask_other_than "$i"
		live_more 10
		server_start "$i"
		wait_for 60 cluster_ready
	done
	live_end
}
