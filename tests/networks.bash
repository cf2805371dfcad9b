# shellcheck shell=bash
# Networks on one machine, with links between that can be cut. ADDRESS is an associative array: the address of each, by name; a switch joins them.
# Programs that run in them, and are to end with them, leave their process ids in D/nats.pid.*.
#
# The networks have no names: each lasts as long as the process that holds it, and its links with it, so that nothing is left behind whatever
# happens to the test.

networks_start() {
	((EUID == 0)) || fail "only root may make networks: run this as root"
	local node
	net_new switch
	inside switch ip link add br0 type bridge
	inside switch ip link set br0 up
	for node in "${!ADDRESS[@]}"; do net_join "$node"; done
}

networks_stop() {
	local file
	for file in "$D"/nats.pid.* "$D"/net.*; do
		[[ -e $file ]] || continue
		kill "$(cat "$file")"
		wait_for 60 not kill -0 "$(cat "$file")"
	done
}

# net_new NAME: a network of its own.
net_new() {
	unshare --net bash -c 'ip link set lo up && echo $$ >"$0" && exec tail -f /dev/null' "$D/net.$1" </dev/null >/dev/null 2>&1 3>&- 4>&- &
	disown
	wait_for 20 test -s "$D/net.$1"
}

# The words to put before a command that runs in that network.
in_net() {
	echo "nsenter --net=/proc/$(cat "$D/net.$1")/ns/net"
}

inside() {
	$(in_net "$1") "${@:2}"
}

# net_join NAME: a network with its address, and a link to the switch.
net_join() {
	net_new "$1"
	inside switch ip link add name "$1" type veth peer name eth0 netns "$(cat "$D/net.$1")"
	inside switch ip link set dev "$1" master br0
	inside "$1" ip address add "${ADDRESS[$1]}/24" dev eth0
	inside "$1" ip link set eth0 up
	inside switch ip link set dev "$1" up
}

# link NAME up|down: mend or cut its link, at the switch's end.
link() {
	inside switch ip link set dev "$1" "$2"
}
