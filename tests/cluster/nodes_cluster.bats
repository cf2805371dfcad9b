#!/usr/bin/env bats
# Three nats-servers, three replicas: the stream's leader is killed under load, again and again. No acknowledged event is lost or there twice, and the
# cluster of nodes goes on.

load ../helper
load ../away
load ../servers
load ../nodes

TIMEOUT=20

setup_file() {
	servers_start
	mount_start --nats "$(urls)" --replicas 3 --node-id one -o "timeout=$TIMEOUT"
	mount_start -n other --nats "$(urls)" --replicas 3 --node-id two -o "timeout=$TIMEOUT"
	wait_for 60 mkdir "$N"
	wait_for 60 settled mnt 2
}

# Whatever became of a test, its writers end.
teardown() {
	touch "$D/stop"
}

teardown_file() {
	local i
	cluster_back
	stop_all
	for i in "${SERVERS[@]}"; do server_kill "$i"; done
}

setup() {
	live_server "127.0.0.1/$(client_port 1)"
}

# The number of the server that leads the stream of the namespace t.
leader() {
	ask '$JS.API.STREAM.INFO.aether-t' | jq -re '.cluster.leader | ltrimstr("s")'
}

led() {
	leader >"$D/leader" && [[ -s $D/leader ]]
}

# One writer of an actor: appends numbers until D/stop is there, each with an id of its own, and what was acknowledged goes to D/acked.NAME. What was
# told ETIMEDOUT is sent again, as it is, until it is told something else.
writer() {
	local n=0 line
	while [[ ! -e $D/stop ]]; do
		n=$((n + 1))
		line="{\"id\":\"$2-$n\",\"eventType\":\"E\",\"data\":{\"n\":$n}}"
		until echo "$line" >>"$1" && echo "$2-$n" >>"$D/acked.$2"; do [[ ! -e $D/stop ]] || return 0; done
	done 2>/dev/null
}

# How many were acknowledged, by all writers.
acked() {
	cat "$D"/acked.* | wc -l
}

# more COUNT SECONDS: so many more are acknowledged within that time.
more() {
	local now
	now="$(acked)"
	wait_for "$2" bash -c '(($(cat "$0"/acked.* | wc -l) >= $1))' "$D" $((now + $1))
}

# Reads go to whichever server a node has, whose copy of the stream may be behind: what it does not know yet is no reason to say that it is not there.
@test "what was appended on one node is there on the other, at once: new actors, new lines, and how it was at a time" {
	local i other="$D/other/t" time
	for i in {1..100}; do
		echo "$i" >>"$N/new-$i"
		assert_equal "$(events "$other/new-$i")" "$i"
		echo "$i" >>"$other/one"
		assert_equal "$(wc -l <"$N/one")" "$i"
	done
	for i in {1..20}; do
		time="$(date -u +%FT%T.%NZ)"
		assert_equal "$(events "$other/.aether/actors/one/at/$time" | wc -l)" $((99 + i))
		assert_equal "$(events "$N/.aether/actors/one/at/$time" | wc -l)" $((99 + i))
		echo more >>"$N/one"
	done
}

@test "the stream's leader is killed three times under load: nothing acknowledged is lost or twice, and writes go on" {
	local w
	rm -f "$D/stop" "$D"/acked.*
	for w in 1 2 3; do
		writer "$N/w$w" "a$w" 3>&- 4>&- &
		writer "$D/other/t/w$w" "b$w" 3>&- 4>&- &
	done
	more 50 60
	for _ in 1 2 3; do
		wait_for 60 led
		old="$(<"$D/leader")"
		server_kill "$old"
		# Within 10 seconds; the rest is for an election that a busy machine drags out.
		start=${EPOCHREALTIME/./}
		more 6 30
		echo "# writes went on $(((${EPOCHREALTIME/./} - start) / 1000)) ms after the leader was killed" >&3
		live_server "127.0.0.1/$(client_port "$((old % 3 + 1))")"
		more 30 60
		server_start "$old"
		wait_for 60 cluster_ready
		wait_for 60 led
		more 30 60
	done
	touch "$D/stop"
	wait
	for w in 1 2 3; do
		cmp "$N/w$w" "$D/other/t/w$w"
		assert_equal "$(jq -r .version <"$N/w$w" | awk '$1 != NR' | head -n 1)" ''
		assert_equal "$(jq -r .id <"$N/w$w" | sort | uniq -d)" ''
		assert_equal "$(comm -23 <(sort "$D/acked.a$w" "$D/acked.b$w") <(jq -r .id <"$N/w$w" | sort) | head -n 1)" ''
	done
}

@test "the nodes agree again, whatever the servers went through" {
	wait_for 60 agree mnt other
	wait_for 60 settled mnt 2
	wait_for 60 settled other 2
}

@test "all servers are killed and come back: so does the cluster of nodes" {
	local i
	for i in "${SERVERS[@]}"; do server_kill "$i"; done
	# Without NATS nobody leads.
	wait_for 30 bash -c '[[ -z $(cat "$0/.aether/cluster/leader") ]]' "$M" || true
	cluster_back
	wait_for 60 agree mnt other
	wait_for 60 settled mnt 2
}
