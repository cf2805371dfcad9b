#!/usr/bin/env bats
# Readers and watchers while both nodes append as fast as they can.

load helper
load live

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=60
	mount_start -n other --nats "$NATS_URL" -o timeout=60
	mkdir "$N"
}

setup() {
	ACTOR="a$BATS_TEST_NUMBER"
	A="$N/$ACTOR"
	B="$D/other/t/$ACTOR"
	rm -f "$D/stop"
}

teardown() {
	touch "$D/stop"
	watch_end
	tool_end
}

# lines FILE FIRST LAST: one write for each, from one open file.
lines() {
	seq -f 'line-%g' "$2" "$3" | while read -r line; do echo "$line"; done >>"$1"
}

# reader HOW FILE NAME COMMAND...: read the file again and again until D/stop is there, and once more; check what was read.
reader() {
	local i
	while :; do
		[[ ! -e $D/stop ]] || touch "$D/read.$3.last"
		for i in {1..10}; do
			"${@:4}" "$2" >"$D/read.$3.$i" || return 1
		done
		/usr/bin/python3 "$TESTS/clients/check_read.py" "$1" "$D/read.$3".{1..10} || return 1
		[[ ! -e $D/read.$3.last ]] || return 0
	done
}

# dd with blocks of an odd size.
read_odd() {
	dd if="$1" bs=777 status=none
}

# dd from the beginning to somewhere.
read_begin() {
	dd if="$1" bs=$((RANDOM % 5000 + 1)) count=$((RANDOM % 50 + 1)) status=none
}

# follow: whenever D/seen says that actors were modified, and nothing else is seen, note their versions in D/version.ACTOR; D/followed: how
# many lines were read.
follow() {
	local name count=0
	local -A told
	tail -n +1 -s 0.1 -f "$D/seen" | while read -r _ name; do
		told=(["$name"]=1)
		((++count))
		while read -t 0 && read -r _ name; do
			told["$name"]=1
			((++count))
		done
		for name in "${!told[@]}"; do cat "$N/.aether/actors/$name/version" >"$D/version.$name"; done
		echo "$count" >"$D/followed"
	done
}
export -f follow

# Has who reads when told read that version of each actor, and heard everything that has been said?
all_told() {
	[[ $(cat "$D/version.$ACTOR"-[1-4] | sort -u) == "$1" && $(cat "$D/followed") == $(wc -l <"$D/seen") ]]
}

@test "10,000 appends of both nodes, four readers in tight loops: nothing torn, nothing missing, the last event told" {
	for i in 1 2 3 4; do echo begin >>"$A-$i"; done
	watch -e modify "$N"
	tool bash -c follow
	reader whole "$A-1" 1 cat 3>&- & readers=($!)
	reader part "$B-2" 2 tail -c 5000 3>&- & readers+=($!)
	reader whole "$B-3" 3 read_odd 3>&- & readers+=($!)
	reader begin "$A-4" 4 read_begin 3>&- & readers+=($!)
	for i in 1 2 3 4; do
		lines "$A-$i" 1 1250 3>&- & writers+=($!)
		lines "$B-$i" 1251 2400 3>&- & writers+=($!)
	done
	for pid in "${writers[@]}"; do wait "$pid"; done
	wait_for 60 all_told 2401
	for i in 1 2 3 4; do lines "$B-$i" 2401 2500; done # the last ones are the other's alone
	wait_for 60 all_told 2501
	touch "$D/stop"
	for pid in "${readers[@]}"; do wait "$pid"; done
	for i in 1 2 3 4; do assert_equal "$(events "$A-$i" | sort -u | wc -l)" 2501; done
}

# Append to all of 100 actors, again and again, until D/stop is there.
loud() {
	local i
	until [[ -e $D/stop ]]; do
		for i in {1..100}; do echo loud >>"$1-$i"; done
	done
}

@test "a quiet actor is told while 100 loud ones are written" {
	for i in {1..100}; do echo 0; done >>"$B-1"
	watch "$N"
	loud "$B" 3>&- &
	wait_for 60 seen MODIFY "$ACTOR-100"
	for i in {1..10}; do
		echo quiet >>"$B-quiet-$i"
		wait_for 60 seen CLOSE_WRITE,CLOSE "$ACTOR-quiet-$i"
		kill -0 $!
	done
	touch "$D/stop"
	wait $!
}

# told COUNT EVENT: has the event been seen of so many of the test's actors?
told() {
	(($(grep "^$2 $ACTOR-" "$D/seen" | sort -u | wc -l) == $1))
}

@test "20,000 names at once, more than are kept in memory: each is told" {
	watch "$N"
	kill -STOP "$(poker)"
	seq -f "$ACTOR-%g new" 20000 | plain_append t
	kill -CONT "$(poker)"
	wait_for 120 told 20000 MODIFY
	told 20000 CREATE
	not grep -q OVERFLOW "$D/seen"
}
