#!/usr/bin/env bats
# A partition: three machines, each with a nats-server and a node, and a link that is cut. Who is alone stops leading and owning, and stores nothing; when
# the link is mended nothing has been lost, is there twice, or conflicts without being told.

load ../helper
load ../away
load ../networks
load ../nodes

TIMEOUT=4
declare -A ADDRESS=([one]=10.114.0.1 [two]=10.114.0.2 [three]=10.114.0.3)

setup_file() {
	local node
	# Of 2.9 a server that is a little late may never hear who leads JetStream.
	AETHER_NATS_SERVER="$("$TESTS/nats-versions" 2.10 | cut -d ' ' -f 2)"
	networks_start
	for node in "${!ADDRESS[@]}"; do server_start "$node"; done
	for node in "${!ADDRESS[@]}"; do wait_for 60 answers "$node"; done
	for node in "${!ADDRESS[@]}"; do
		MOUNT_IN="$(in_net "$node")" mount_start -n "$node" --nats "nats://${ADDRESS[$node]}:4222" --replicas 3 --node-id "$node" -o "timeout=$TIMEOUT"
	done
	wait_for 60 mkdir "$D/one/t"
	wait_for 60 settled one 3
	wait_for 60 agree one two three
}

teardown() {
	local node
	for node in "${!ADDRESS[@]}"; do link "$node" up; done
}

teardown_file() {
	stop_all
	networks_stop
}

server_start() {
	local other routes=() dir="$D/server.$1"
	mkdir -p "$dir"
	for other in "${!ADDRESS[@]}"; do routes+=("nats://${ADDRESS[$other]}:6222"); done
	cat >"$dir/conf" <<-CONF
		server_name: "$1"
		listen: "${ADDRESS[$1]}:4222"
		jetstream { store_dir: "$dir" }
		cluster { name: "nodes", listen: "${ADDRESS[$1]}:6222", routes: [ $(IFS=,; echo "${routes[*]}") ] }
	CONF
	# Not by the function, whose process would be another one than the server.
	$(in_net "$1") "${AETHER_NATS_SERVER:-nats-server}" -c "$dir/conf" </dev/null >"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$D/nats.pid.$1"
	disown
	wait_for 20 inside "$1" bash -c 'exec 9<>"/dev/tcp/$0/4222"' "${ADDRESS[$1]}"
}

# Does JetStream answer there?
answers() {
	# shellcheck disable=SC2016 # the inner shell expands
	inside "$1" bash -c 'exec 9<>"/dev/tcp/$0/4222"
		printf "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB \$JS.API.INFO a 0\r\n\r\n" >&9
		while IFS= read -t 5 -r line <&9 && [[ $line != MSG* ]]; do :; done
		IFS= read -t 5 -r line <&9 && [[ $line == *memory* && $line != *\"error\"* ]]' "${ADDRESS[$1]}"
}

owns_nothing() {
	local owned
	owned="$(ls "$D/$1/t/.aether/owned")" && [[ -z $owned ]]
}

leads_nobody() {
	[[ -z $(cluster_of "$1" leader) ]]
}

@test "the leader's machine is cut off: it leads and owns nothing, and its appends time out; the others go on" {
	local alone first second actor
	alone="$(cluster_of one leader)"
	read -r first second < <(printf '%s\n' one two three | grep -vx "$alone" | xargs)
	for actor in a{1..20}; do echo before >>"$D/one/t/$actor"; done
	wait_for 60 shared_out one two three
	link "$alone" down
	# It knows by its own clock, without hearing from anybody.
	wait_for 20 owns_nothing "$alone"
	wait_for 20 leads_nobody "$alone"
	wait_for 60 node_is "$first" "$alone" failed
	assert_errno ETIMEDOUT append "$D/$alone/t/a1" '{"id":"alone-1","eventType":"E","data":{}}'$'\n'
	wait_for 60 settled "$first" 2
	wait_for 60 agree "$first" "$second"
	[[ $(cluster_of "$first" leader) != "$alone" ]]
	for actor in a{1..20}; do wait_for 60 append_to "$D/$second/t/$actor" during; done
	link "$alone" up
	wait_for 60 agree one two three
	wait_for 60 settled one 3
	# What was told ETIMEDOUT may be stored or not; sent again it is, once.
	wait_for 60 "$ERRNO_DO" append "$D/$alone/t/a1" '{"id":"alone-1","eventType":"E","data":{}}'$'\n'
	assert_equal "$(jq -r .id <"$D/$first/t/a1" | grep -c alone-1)" 1
	for actor in a{1..20}; do
		assert_equal "$(jq -r .version <"$D/$alone/t/$actor" | awk '$1 != NR' | head -n 1)" ''
		cmp "$D/$alone/t/$actor" "$D/$first/t/$actor"
		assert_equal "$(events "$D/$alone/t/$actor" '.data.text // empty' | sort | uniq -c | awk '{ print $2 $1 }' | xargs)" 'before1 during1'
	done
}

# One text, once: with an id of its own, for it may have to be sent again.
append_to() {
	[[ $("$ERRNO_DO" append "$1" "{\"id\":\"$2\",\"eventType\":\"Text\",\"data\":{\"text\":\"$2\"}}"$'\n') == OK ]]
}

@test "an append with a version from before the cut conflicts afterwards, and says so" {
	local version
	version="$(version_of "$D/two/t/a5")"
	link one down
	wait_for 60 append_to "$D/two/t/a5" meanwhile
	link one up
	wait_for 60 agree one two three
	run -3 "$AETHER" append "$D/one/t/a5" --version $((version + 1)) '{"late":true}'
	assert_equal "$(version_of "$D/one/t/a5")" $((version + 1))
}
