#!/usr/bin/env bats
# A server that ends connections on which much waits for a slow reader, and a node that stands still for a while.

load helper

setup_file() {
	NATS_CONF=$'max_payload: 65536\n\t\tmax_pending: 131072' nats_start
	mount_start --nats "$NATS_URL"
	mount_start -n other --nats "$NATS_URL"
	mkdir "$N"
}

setup() {
	B="$D/other/t"
}

teardown() {
	kill -CONT "$(cat "$D/mnt.pid")" || true
	[[ ! -e $D/reader ]] || kill "$(cat "$D/reader")" || true
}

fed() {
	[[ $(wc -l <"$D/feed") -ge $1 ]]
}

@test "a feed has all that was stored meanwhile, once" {
	touch "$B/x"
	cat "$N/.aether/events" >"$D/feed" 3>&- 4>&- &
	echo $! >"$D/reader"
	disown
	wait_for 30 bash -c 'readlink /proc/"$0"/fd/* | grep -q aether/events' "$(cat "$D/reader")"
	line="$(head -c 15000 /dev/zero | tr '\0' y)"
	kill -STOP "$(cat "$D/mnt.pid")"
	for i in {1..150}; do echo "$i$line" >>"$B/x"; done
	kill -CONT "$(cat "$D/mnt.pid")"
	wait_for 60 fed 150
	cmp "$D/feed" "$B/x"
}
