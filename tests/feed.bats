#!/usr/bin/env bats
# Live feeds: `.aether/events` of a namespace and of the root, on two mounts of one server; replay --follow and watch, which read them.

load helper

TIMEOUT=5

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout="$TIMEOUT"
	mount_start -n other --nats "$NATS_URL" -o timeout="$TIMEOUT",delete
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	B="$D/other/t/a$BATS_TEST_NUMBER"
	F="$N/.aether/events"
	G="$D/other/t/.aether/events"
}

teardown() {
	local pid
	nats_back
	for pid in "$D"/*.reader; do
		[[ ! -e $pid ]] || kill -9 "$(cat "$pid")" 2>/dev/null || true
	done
	rm -f "$D"/*.reader
	[[ -d $N ]] || mkdir "$N"
}

has_open() {
	readlink "/proc/$1/fd/"* | grep -qxF "$2"
}

# in_background NAME FILE COMMAND...: its output goes to D/NAME, its process id to D/NAME.reader; returns when it has FILE open.
in_background() {
	"${@:3}" >"$D/$1" 2>"$D/$1.err" 3>&- 4>&- &
	echo $! >"$D/$1.reader"
	disown
	wait_for 30 has_open $! "$2"
}

# read_feed NAME FEED: cat it in the background to D/NAME.
read_feed() {
	in_background "$1" "$2" cat "$2"
}

reader() {
	cat "$D/$1.reader"
}

ended() {
	not kill -0 "$(reader "$1")"
}

# has_lines COUNT NAME: so many lines came, and then no more: what was appended last by this is the last line.
has_lines() {
	[[ $(wc -l <"$D/$2") -ge $1 ]]
}

# The texts that a reader has got.
texts() {
	jq -r .data.text <"$D/$1" | xargs
}

lines() {
	for i in $(seq "$3"); do
		echo "$2-$i" >>"$1"
	done
}

# One message from a NATS client that is no mount: nats_publish SUBJECT HEADER PAYLOAD; says what JetStream answers.
nats_publish() {
	local line head="NATS/1.0"$'\r\n'"$2"$'\r\n\r\n'
	exec 5<>"/dev/tcp/127.0.0.1/$(cat "$D/nats/port")"
	printf 'CONNECT {"verbose":false,"headers":true}\r\nSUB answer 1\r\nHPUB %s answer %d %d\r\n%s%s\r\n' \
		"$1" "${#head}" "$((${#head} + ${#3}))" "$head" "$3" >&5
	while read -r -t 20 line <&5; do
		[[ $line != '{'* ]] || break
	done
	exec 5>&-
	echo "$line"
}

@test "every event of both nodes, once, in the order of the stream" {
	read_feed here "$F"
	read_feed there "$G"
	for w in 1 2 3; do
		lines "$A-$w" "here-$w" 60 3>&- &
		lines "$B-$w" "there-$w" 60 3>&- &
	done
	wait
	wait_for 60 has_lines 360 here
	wait_for 60 has_lines 360 there
	cmp "$D/here" "$D/there"
	for w in 1 2 3; do
		grep -F "\"actorId\":\"a$BATS_TEST_NUMBER-$w\"" "$D/here" | cmp - "$A-$w"
	done
}

@test "what was stored before the open is not in it, what is stored after it is" {
	for i in {1..20}; do
		echo "before $i" >>"$B"
		read_feed "feed$i" "$F"
		echo "after $i" >>"$B"
		wait_for 30 has_lines 1 "feed$i"
		assert_equal "$(head -n 1 "$D/feed$i" | jq -r .data.text)" "after $i"
	done
}

@test "one write of many lines, and a line that is longer than a read" {
	in_background small "$F" "$ERRNO_DO" live "$F" 100
	read_feed whole "$F"
	seq 1000 >>"$B"
	printf '%70000d\n' 7 >>"$B"
	wait_for 30 has_lines 1001 whole
	cmp "$D/whole" "$B"
	wait_for 30 cmp "$D/small.err" "$B"
}

@test "poll, select and epoll wait for an event, of another node too" {
	for call in poll select epoll; do
		assert_errno OK wake "$call" "$F" "echo $call >>'$B'"
		assert_errno OK wake "$call" "$M/.aether/events" "echo $call >>'$A'"
	done
}

@test "poll waits for nothing where there is nothing to wait for" {
	echo x >>"$A"
	assert_errno EALREADY wake poll "$A" true
	assert_errno EALREADY wake select "$M/.aether/status" true
}

@test "a signal ends a read that waits" {
	assert_errno EINTR interrupted "$F"
	for signal in HUP TERM KILL; do # a shell's background commands ignore INT
		read_feed waits "$F"
		kill "-$signal" "$(reader waits)"
		wait_for 20 ended waits
	done
}

@test "a read that must not wait is EAGAIN" {
	assert_errno EAGAIN read-once "$F" RDONLY,NONBLOCK
	assert_errno EAGAIN read-once "$M/.aether/events" RDONLY,NONBLOCK
}

@test "a feed has no places, and cannot be written" {
	assert_errno ESPIPE seek "$F" 0
	assert_errno ESPIPE pread "$F" 0
	for flags in WRONLY RDWR WRONLY,APPEND WRONLY,TRUNC; do
		assert_errno EPERM open "$F" "$flags"
	done
	assert_errno EPERM truncate "$F" 0
	assert_errno EPERM chmod "$F" 600
	assert_errno EPERM unlink "$F"
	assert_equal "$(stat -c '%F %a %s' "$F")" 'regular empty file 444 0'
	assert_equal "$(stat -c '%F %a %s' "$M/.aether/events")" 'regular empty file 400 0'
	assert_equal "$(cd "$N/.aether" && echo *)" 'actors at by-type conflicts events model.dot model.json models owned'
}

@test "what JetStream refuses, what is not ours, and new actors are no events" {
	read_feed feed "$F"
	echo first >>"$A"
	touch "$A-new"
	run nats_publish "aether.ev.t.a$BATS_TEST_NUMBER" 'Nats-Expected-Last-Subject-Sequence: 999' '{"refused":1}'
	assert_output --partial '"error"'
	run nats_publish "aether.ev.t.foreign" 'Other: 1' $'{"foreign":1}\n'
	assert_output --partial '"seq"'
	echo last >>"$A-new"
	wait_for 30 has_lines 2 feed
	assert_equal "$(texts feed)" 'first last'
}

# appended COUNT FILE: events of 100 kB, as many as told.
appended() {
	for i in $(seq "$1"); do
		printf '%0100000d\n' "$i"
	done >>"$2"
}

@test "who does not read gets EOVERFLOW, once, and goes on; others miss nothing" {
	in_background slow "$F" "$ERRNO_DO" live "$F" 65536
	kill -STOP "$(reader slow)"
	read_feed quick "$F"
	appended 400 "$B"
	wait_for 60 has_lines 400 quick
	cmp "$D/quick" "$B"
	kill -CONT "$(reader slow)"
	wait_for 30 grep -q '"version":400,' "$D/slow.err"
	echo later >>"$B"
	wait_for 30 grep -q '"text":"later"' "$D/slow.err"
	assert_equal "$(grep -c EOVERFLOW "$D/slow.err")" 1
	sed '0,/EOVERFLOW/d' "$D/slow.err" | cmp - <(tail -n "$(sed '0,/EOVERFLOW/d' "$D/slow.err" | wc -l)" "$B")
}

@test "a server that goes away and comes back: nothing is lost, nothing is there twice" {
	read_feed here "$F"
	read_feed all "$M/.aether/events"
	lines "$B" before 5
	nats_kill
	assert_errno ETIMEDOUT open "$F" RDONLY
	assert_errno ETIMEDOUT open "$M/.aether/events" RDONLY
	nats_start
	wait_for 60 touch "$N/alive" "$D/other/t/alive"
	lines "$B" after 5
	wait_for 60 has_lines 10 here
	wait_for 60 has_lines 10 all
	cmp "$D/here" "$B"
	cmp "$D/all" "$B"
}

@test "a server that is killed again and again while others append" {
	read_feed feed "$F"
	"$ERRNO_DO" load "$B" load 300 100 retry 2>"$D/acked.load" 3>&- &
	for i in 1 2 3; do
		wait_for 60 more_lines 20
		nats_kill
		nats_start
	done
	wait_for 100 more_lines 200
	wait
	wait_for 60 has_lines "$(wc -l <"$B")" feed
	cmp "$D/feed" "$B"
}

@test "a consumer that somebody deletes: the feed goes on" {
	read_feed feed "$F"
	for i in 1 2 3; do
		echo "one $i" >>"$B"
		for consumer in $(nats_publish '$JS.API.CONSUMER.NAMES.aether-t' 'X: 1' '' | jq -r '.consumers[]?'); do
			nats_publish "\$JS.API.CONSUMER.DELETE.aether-t.$consumer" 'X: 1' '' | jq -e .success
		done
		echo "two $i" >>"$B"
	done
	wait_for 60 has_lines 6 feed
	cmp "$D/feed" "$B"
}

@test "the namespace is removed: the end, and the feed of a new one begins anew" {
	for side in "$M" "$D/other"; do
		mkdir "$M/gone"
		wait_for 30 test -d "$D/other/gone"
		read_feed gone "$M/gone/.aether/events"
		rmdir "$side/gone"
		wait_for 30 ended gone
		[[ ! -s $D/gone.err ]]
		wait_for 30 assert_errno ENOENT open "$M/gone/.aether/events" RDONLY
	done
	mkdir "$M/gone"
	read_feed gone "$M/gone/.aether/events"
	echo again >>"$M/gone/a"
	wait_for 30 has_lines 1 gone
}

@test "a namespace whose actors are erased with it: the end, after what came before" {
	mkdir "$M/full"
	read_feed full "$M/full/.aether/events"
	echo one >>"$D/other/full/a"
	echo two >>"$D/other/full/b"
	wait_for 30 has_lines 2 full # what is erased before it was read is gone
	rm "$D/other/full/b"
	rmdir "$D/other/full"
	wait_for 30 ended full
	[[ ! -s $D/full.err ]]
	assert_equal "$(jq -r .data.text "$D/full" | xargs)" 'one two'
	wait_for 30 mkdir "$M/full"
	read_feed full "$M/full/.aether/events"
	echo three >>"$M/full/a"
	wait_for 30 has_lines 1 full
}

@test "300 readers at once" {
	for i in {1..300}; do
		cat "$F" >"$D/many.$i" 3>&- 4>&- &
	done
	wait_for 60 bash -c '[[ $(readlink /proc/[0-9]*/fd/* 2>/dev/null | grep -cxF "$0") == 300 ]]' "$F"
	echo one >>"$B"
	seq 2 50 >>"$A"
	wait_for 60 bash -c '[[ $(cat "$0"/many.* | wc -l) == 15000 ]]' "$D"
	for i in {1..300}; do
		cmp "$D/many.$i" "$A"
	done
	jobs -p | xargs kill
	rm "$D"/many.*
}

@test "the root's feed has every namespace, those that come and go too" {
	read_feed all "$M/.aether/events"
	for i in 1 2 3; do
		mkdir "$D/other/comes-$i"
		echo "remote $i" >>"$D/other/comes-$i/a"
		mkdir "$M/own-$i"
		echo "own $i" >>"$M/own-$i/a"
		mkdir "$D/other/goes" && wait_for 30 test -d "$M/goes" && rmdir "$M/goes"
	done
	echo last >>"$B"
	wait_for 60 has_lines 7 all
	assert_equal "$(jq -r .data.text "$D/all" | sort | xargs)" 'last own 1 own 2 own 3 remote 1 remote 2 remote 3'
	! grep -q . "$D/all.err"
}

@test "a namespace that is removed and made again at once stays in the root's feed" {
	read_feed all "$M/.aether/events"
	for i in {1..10}; do
		mkdir "$D/other/again-$i"
		rmdir "$D/other/again-$i"
		mkdir "$D/other/again-$i"
		echo "$i" >>"$D/other/again-$i/a"
	done
	wait_for 60 has_lines 10 all
	assert_equal "$(jq -r .data.text "$D/all" | sort -n | xargs)" "$(seq -s ' ' 10)"
}

@test "a mount is not taken away from under a reader" {
	read_feed feed "$F"
	run "$AETHER" umount "$M"
	assert_failure
	echo x >>"$B"
	wait_for 30 has_lines 1 feed
}

# A mount of its own, at D/own, with a reader of each kind.
own_mount() {
	mount_start -n own --nats "$NATS_URL"
	read_feed waits "$D/own/t/.aether/events"
	in_background polls "$D/own/.aether/events" "$AETHER" watch "$D/own"
}

@test "a daemon that is told to end answers those that wait, and ends" {
	own_mount
	kill -TERM "$(cat "$D/own.pid")"
	wait_for 30 test -s "$D/own.rc"
	assert_equal "$(cat "$D/own.rc")" 0
	wait_for 20 ended waits
	wait_for 20 ended polls
	grep -q 'Input/output error' "$D/waits.err"
}

@test "a lazy unmount ends those that wait, and the daemon" {
	own_mount
	umount -l "$D/own"
	wait_for 30 ended waits
	wait_for 30 ended polls
	wait_for 30 test -s "$D/own.rc"
	assert_equal "$(cat "$D/own.rc")" 0
}

@test "a daemon that is killed leaves nobody waiting" {
	own_mount
	mount_kill own
	wait_for 20 ended waits
	wait_for 20 ended polls
	"$AETHER" umount "$D/own"
}

@test "replay --follow: what is there, and what comes, on any node" {
	seq 3 >>"$A"
	in_background feed "$F" "$AETHER" replay "$A" --follow
	in_background from "$F" "$AETHER" replay "$A" --follow --from 3
	in_background to "$F" "$AETHER" replay "$A" --follow --from 2 --to 5
	echo other >>"$B-other"
	seq 4 6 >>"$B"
	wait_for 30 has_lines 6 feed
	wait_for 30 ended to
	echo more >>"$B"
	wait_for 30 has_lines 7 feed
	cmp "$D/feed" "$A"
	tail -n +3 "$A" >"$D/rest"
	wait_for 30 cmp "$D/from" "$D/rest"
	cmp "$D/to" <(sed -n '2,5p' "$A")
}

@test "replay --follow misses nothing, also if it was stopped for long" {
	echo first >>"$A"
	in_background feed "$F" "$AETHER" replay "$A" --follow
	kill -STOP "$(reader feed)"
	appended 300 "$B-other"
	seq 300 >>"$B"
	kill -CONT "$(reader feed)"
	wait_for 30 has_lines 301 feed
	cmp "$D/feed" "$A"
}

@test "replay --follow ends with who reads what it prints" {
	touch "$A"
	"$AETHER" replay "$A" --follow 3>&- | head -n 0
	mkdir "$M/ends"
	run "$AETHER" replay "$M/ends/absent" --follow
	assert_failure 1
	in_background feed "$F" "$AETHER" replay "$A" --follow
	kill -TERM "$(reader feed)"
	wait_for 20 ended feed
}

@test "watch: an actor, a namespace, a mount" {
	echo x >>"$A"
	in_background actor "$F" "$AETHER" watch "$A"
	in_background both "$F" "$AETHER" watch "$A" "$N/../t" "$A"
	in_background all "$M/.aether/events" "$AETHER" watch "$M" "$A"
	echo '{"eventType":"OrderPlaced","data":{"total":1.10}}' >>"$B"
	printf '%01000d\n' 5 >>"$B-other"
	mkdir "$D/other/w$BATS_TEST_NUMBER"
	echo new >>"$D/other/w$BATS_TEST_NUMBER/a"
	wait_for 30 has_lines 3 all
	wait_for 30 has_lines 2 both
	name="a$BATS_TEST_NUMBER"
	assert_equal "$(cut -d ' ' -f 3- "$D/actor")" "t/$name 2 OrderPlaced {\"total\":1.10}"
	assert_equal "$(cut -d ' ' -f 3,4 "$D/all" | xargs)" "t/$name 2 t/$name-other 1 w$BATS_TEST_NUMBER/a 1"
	assert_equal "$(awk 'length > 200' "$D/all")" ''
}

@test "watch says where events are missing, and that a namespace is gone" {
	mkdir "$M/w"
	in_background feed "$F" "$AETHER" watch "$N" "$M/w"
	kill -STOP "$(reader feed)"
	appended 300 "$B"
	kill -CONT "$(reader feed)"
	wait_for 30 grep -q '^-- t: .*missing' "$D/feed"
	wait_for 30 grep -q " 300 Text" "$D/feed"
	rmdir "$M/w"
	wait_for 30 grep -qx -e '-- w: the namespace is gone' "$D/feed"
}

@test "watch of what is not there, or not Aether's" {
	for path in "$N/absent" "$D" "$N/.aether/conflicts" "$N/.aether"; do
		run "$AETHER" watch "$path"
		assert_failure 1
	done
	run "$AETHER" watch
	assert_failure 2
}
