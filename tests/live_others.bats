#!/usr/bin/env bats
# inotify also shows what programs do to NATS that are no nodes; and what it costs those who do not look, or want to leave.

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
}

teardown() {
	watch_end
	tool_end
}

# Wait until a change that is made now has been seen: what came well before it has been seen then.
settle() {
	echo settled >>"$B-settled"
	wait_for 60 seen CLOSE_WRITE,CLOSE "$ACTOR-settled"
}

# stream_create NAMESPACE: as a program would that keeps to store/FORMAT.md.
stream_create() {
	local description='{\"aether\":1,\"mode\":493,\"uid\":0,\"gid\":0,\"nonce\":\"0123456789abcdef\"}'
	ask "\$JS.API.STREAM.CREATE.aether-$1" '{"name":"aether-'"$1"'","subjects":["aether.ev.'"$1"'.*"],"retention":"limits",
		"storage":"file","num_replicas":1,"discard":"new","allow_direct":true,"description":"'"$description"'"}' |
		jq -e '.error | not'
}

@test "a record of another program in an actor that is there: OPEN, MODIFY, CLOSE_WRITE" {
	watch "$N"
	echo 1 >>"$B"
	wait_for 60 appended "$ACTOR"
	settle
	: >"$D/seen"
	plain_append t <<<"$ACTOR 2"
	wait_for 60 seen CLOSE_WRITE,CLOSE "$ACTOR"
	assert_equal "$(all_of "$ACTOR")" 'OPEN MODIFY CLOSE_WRITE,CLOSE '
	assert_equal "$(events "$A" | xargs)" '1 2'
}

@test "a record of another program in a new actor: CREATE, OPEN, MODIFY, CLOSE_WRITE" {
	watch "$N"
	plain_append t <<<"$ACTOR 1"
	wait_for 60 seen CLOSE_WRITE,CLOSE "$ACTOR"
	settle
	assert_equal "$(all_of "$ACTOR")" 'CREATE OPEN MODIFY CLOSE_WRITE,CLOSE '
	assert_equal "$(events "$A")" 1
}

@test "own appends and those of another program in one actor" {
	watch "$N"
	for i in {1..20}; do
		echo "$((2 * i - 1))" >>"$A"
		plain_append t <<<"$ACTOR $((2 * i))"
	done
	settle
	diff <(events "$A") <(seq 40)
	assert_equal "$(all_of "$ACTOR" | tr ' ' '\n' | grep -c CREATE)" 1
}

@test "a foreign message is told, and is EIO for the reader from there on" {
	seq 3 >>"$B"
	watch "$N"
	settle
	: >"$D/seen"
	ask "aether.ev.t.$ACTOR" 'no record' | jq -e .seq
	wait_for 60 seen MODIFY "$ACTOR"
	run cat "$A"
	assert_failure
	assert_output --partial 'Input/output error'
	diff <(events <(cat "$A" 2>/dev/null)) <(seq 3)
	assert_errno OK append "$N/alive" $'still here\n'
}

@test "a foreign message under a name that nobody had: MODIFY" {
	watch "$N"
	ask "aether.ev.t.$ACTOR" 'no record' | jq -e .seq
	wait_for 60 seen MODIFY "$ACTOR"
	run cat "$A"
	assert_output --partial 'Input/output error'
	settle
}

@test "a publish that JetStream refuses is not told" {
	watch "$N"
	echo 1 >>"$B"
	wait_for 60 appended "$ACTOR"
	settle
	: >"$D/seen"
	run plain_append t 1000000 <<<"$ACTOR 2"
	assert_failure 1
	assert_output --partial '"error"'
	run plain_append t 1000000 <<<"$ACTOR-new 2"
	assert_failure 1
	settle
	assert_equal "$(all_of "$ACTOR")$(all_of "$ACTOR-new")" ''
}

@test "a namespace's stream made by another program: CREATE of a directory, which can be used" {
	watch "$M"
	stream_create "n$BATS_TEST_NUMBER"
	wait_for 90 seen CREATE,ISDIR "n$BATS_TEST_NUMBER"
	echo 1 >>"$M/n$BATS_TEST_NUMBER/x"
	assert_equal "$(events "$D/other/n$BATS_TEST_NUMBER/x")" 1
}

@test "a namespace's stream deleted by another program: DELETE of a directory" {
	mkdir "$M/n$BATS_TEST_NUMBER"
	echo 1 >>"$M/n$BATS_TEST_NUMBER/x"
	watch "$M"
	ask "\$JS.API.STREAM.DELETE.aether-n$BATS_TEST_NUMBER" | jq -e .success
	wait_for 150 seen DELETE,ISDIR "n$BATS_TEST_NUMBER" # servers 2.9 and 2.10 may not say it; then it is found by a look
	assert_errno ENOENT stat "$M/n$BATS_TEST_NUMBER/x"
}

@test "three watchers of one directory: each is told everything" {
	tool bash -c 'for i in 1 2 3; do inotifywait -m --format "%e %f" -o "$0.$i" "$1" & done; wait' "$D/watcher" "$N"
	wait_for 60 bash -c '[[ $(grep -c "Watches established" "$0") == 3 ]]' "$D/err"
	for i in {1..50}; do
		echo here >>"$A-$i"
		echo there >>"$B-there-$i"
	done
	for watcher in 1 2 3; do
		for i in {1..50}; do
			wait_for 60 grep -qx "MODIFY $ACTOR-$i" "$D/watcher.$watcher"
			wait_for 60 grep -qx "MODIFY $ACTOR-there-$i" "$D/watcher.$watcher"
		done
	done
}

# Has the process that tells nothing to do? Each of its threads waits, and nothing is open but what it always has.
poker_rests() {
	local proc
	proc="/proc/$(poker "$1")"
	[[ $(ls "$proc/task" | wc -l) -ge 4 && $(ls "$proc/fd" | wc -l) == 4 ]] && ! grep -L '^State:.S' "$proc/task"/*/status | grep -q .
}

# How often each of its threads has run.
poker_runs() {
	grep ctxt_switches "/proc/$(poker "$1")/task"/*/status | sort
}

@test "a mount at which nobody looked is told nothing" {
	mount_start -n idle --nats "$NATS_URL"
	wait_for 60 poker_rests idle
	poker_runs idle >"$D/before"
	watch "$N"
	for i in {1..200}; do echo "$i" >>"$B-$i"; done
	settle
	poker_runs idle >"$D/after"
	(($(comm -12 "$D/before" "$D/after" | grep -c ':voluntary') >= 4)) # all of its own; a sanitizer has one more
	mount_stop idle
}

@test "umount(8) and fusermount3 -u take a mount away that is watched and idle" {
	for command in umount 'fusermount3 -u'; do
		mount_start -n leave --nats "$NATS_URL"
		tool inotifywait -m "$D/leave/t" "$D/leave"
		wait_for 60 watches "$D/leave/t"
		wait_for 60 watches "$D/leave"
		echo 1 >>"$B"
		wait_for 60 shown "CLOSE_WRITE,CLOSE $ACTOR$"
		wait_for 60 poker_rests leave
		$command "$D/leave"
		wait_for 60 test -s "$D/leave.rc"
		assert_equal "$(cat "$D/leave.rc")" 0
		wait_for 60 not grep -q ^inotify "/proc/$(cat "$D/tool.group")/fdinfo/"* # IN_UNMOUNT ends every watch
		tool_end
	done
}

@test "a store in memory: own changes are told once" {
	mount_start -n memory --store memory
	mkdir "$D/memory/t"
	watch "$D/memory/t" "$D/memory"
	for i in {1..20}; do
		echo "$i" >>"$D/memory/t/x$i"
		mkdir "$D/memory/d$i"
		rmdir "$D/memory/d$i"
	done
	echo last >>"$D/memory/t/last"
	wait_for 60 seen CLOSE_WRITE,CLOSE last
	for i in {1..20}; do
		assert_equal "$(all_of "x$i")" 'CREATE OPEN MODIFY CLOSE_WRITE,CLOSE '
		assert_equal "$(all_of "d$i" | tr ' ' '\n' | grep 'CREATE\|DELETE' | xargs)" 'CREATE,ISDIR DELETE,ISDIR'
	done
	mount_stop memory
}
