#!/usr/bin/env bats
# What a watch on one node tells of another's changes when its connection, or its daemon, stands still or is cut off meanwhile.

load helper
load away

TIMEOUT=5

# A reaches the server through a proxy, so that it can be cut off alone.
setup_file() {
	nats_start
	proxy_start
	mount_start --nats "nats://127.0.0.1:$(cat "$D/proxy.port")" -o "timeout=$TIMEOUT"
	mount_start -n other --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	mkdir "$N"
}

setup() {
	live_setup
	live_server "127.0.0.1/$(cat "$D/nats/port")"
}

teardown() {
	live_teardown
	kill -CONT "$(cat "$D/mnt.pid")"
	[[ -e $D/proxy.on ]] || proxy_start
	proxy CONT
}

teardown_file() {
	stop_all
	proxy KILL
}

# proxy_start: accept A's connections, at the same port every time.
proxy_start() {
	[[ -e $D/proxy.port ]] || free_port >"$D/proxy.port"
	rm -f "$D/proxy.log"
	socat -d -d "TCP-LISTEN:$(cat "$D/proxy.port"),bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$(cat "$D/nats/port")" \
		</dev/null >/dev/null 2>"$D/proxy.log" 3>&- 4>&- &
	echo $! >"$D/proxy.on"
	disown
	wait_for 20 grep -q ' listening on ' "$D/proxy.log"
}

# proxy SIGNAL: to the proxy, and to its processes, one for each connection.
proxy() {
	local pid
	pid="$(cat "$D/proxy.on")"
	kill -STOP "$pid" # it begins no other meanwhile
	pkill "-$1" -P "$pid" || true
	kill "-$1" "$pid"
	[[ $1 != KILL ]] || rm "$D/proxy.on"
}

@test "the daemon stands still" {
	live_watch
	live_write
	live_more 15
	kill -STOP "$(cat "$D/mnt.pid")"
	wait_for 60 past "$((EPOCHSECONDS + 10))"
	live_more 15
	kill -CONT "$(cat "$D/mnt.pid")"
	live_more 15
	live_end
}

@test "the connection of one node is cut, and comes back" {
	live_watch
	live_write
	for _ in 1 2 3; do
		live_more 15
		proxy KILL
		live_more 15
		proxy_start
	done
	live_end
}

@test "the connection of one node goes silent, and speaks again" {
	live_watch
	live_write
	live_more 15
	proxy STOP
	wait_for 60 past "$((EPOCHSECONDS + 12))"
	live_more 15
	proxy CONT
	live_more 15
	live_end
}

@test "a node that was away for all that was written is told of all of it" {
	live_watch
	proxy KILL
	live_write
	live_more "$LIVE_OLD"
	rm "$D/live.writing"
	wait_for 120 test -s "$D/live.rc"
	assert_equal "$(grep -c "^MODIFY .*-$T" "$D/live.seen")" 0
	touch "$D/live.writing"
	proxy_start
	live_end
}

@test "a namespace is deleted behind the back of all, and made anew, while a node is away" {
	NS="anew-$T"
	insist OK mkdir "$D/other/$NS"
	insist OK append "$D/other/$NS/old" $'1\n'
	insist OK stat "$D/mnt/$NS/old"
	live_watch_only "$D/mnt" "$D/mnt/$NS"
	proxy KILL
	ask "\$JS.API.STREAM.DELETE.aether-$NS" | jq -e .success
	wait_for 60 mkdir "$D/other/$NS" # once the node knows that it is gone
	insist OK append "$D/other/$NS/new" $'1\n'
	proxy_start
	wait_for 90 live_seen DELETE,ISDIR "$NS"
	wait_for 90 live_seen CREATE,ISDIR "$NS"
	assert_equal "$(cat "$D/mnt/$NS/new")" "$(cat "$D/other/$NS/new")"
}
