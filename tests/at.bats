#!/usr/bin/env bats
# Time travel: at/<time>, of an actor and of a whole namespace, is what was stored up to that time, for ever.

load helper

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=3,delete
	mount_start -n other --nats "$NATS_URL" -o timeout=3
	mkdir "$N"
}

setup() {
	nats_back
	NAME="n$BATS_TEST_NUMBER" # a namespace of the test's own
	mkdir "$M/$NAME"
	A="$M/$NAME/a"
	AT="$M/$NAME/.aether/at"
	C="$M/$NAME/.aether/actors/a/at"
}

teardown_file() {
	stop_all
}

now() {
	date -u +%FT%T.%NZ
}

# stored_at PATH: the time that JetStream gave the namespace's last message.
stored_at() {
	local answer
	exec 9<>"/dev/tcp/127.0.0.1/$(cat "$D/nats/port")"
	printf 'CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB $JS.API.STREAM.INFO.aether-%s answer 0\r\n\r\n' "$1" >&9
	while IFS= read -t 30 -r answer <&9 && [[ $answer != '{'* ]]; do :; done
	exec 9>&-
	jq -r .state.last_ts <<<"$answer"
}

@test "an actor as it was at every moment" {
	for i in {1..5}; do
		seq "$i" >>"$A"
		cp "$A" "$D/copy-$i"
		now >"$D/time-$i"
	done
	for i in {1..5}; do
		cmp "$D/copy-$i" "$C/$(cat "$D/time-$i")"
		cmp "$D/copy-$i" "$AT/$(cat "$D/time-$i")/a"
	done
}

@test "a namespace as it was, and the difference of two times" {
	echo 1 | tee -a "$A" "$A-old" >/dev/null
	cp -r "$M/$NAME" "$D/before"
	local before after
	before="$(now)"
	echo 2 | tee -a "$A" "$A-new" >/dev/null
	after="$(now)"
	diff -r "$D/before" "$AT/$before"
	run diff -rq "$AT/$before" "$AT/$after"
	assert_line "Files $AT/$before/a and $AT/$after/a differ"
	assert_line "Only in $AT/$after: a-new"
	assert_equal "${#lines[@]}" 2
}

@test "what was stored at that very time belongs to it, a nanosecond before it does not" {
	echo one >>"$A"
	echo two >>"$A"
	local time before
	time="$(stored_at "$NAME")"
	before="$(date -u -d "@$(date -d "$time" +'%s %N' | awk '{ printf "%d.%09d", $1 - ($2 == 0), ($2 + 999999999) % 1000000000 }')" +%FT%T.%NZ)"
	assert_equal "$(wc -l <"$C/$time")" 2
	assert_equal "$(wc -l <"$C/$before")" 1
}

@test "any way to write a time that RFC 3339 knows" {
	echo one >>"$A"
	local time
	time="$(now)"
	cp "$A" "$D/copy"
	echo two >>"$A"
	cmp "$D/copy" "$C/${time%Z}z"
	cmp "$D/copy" "$C/${time/T/t}"
	cmp "$D/copy" "$C/${time%Z}123456789Z"
	cmp "$D/copy" "$C/${time%Z}+00:00"
	cmp "$D/copy" "$C/$(TZ=Asia/Kolkata date -d "$time" +%FT%T.%N+05:30)"
	assert_errno ENOENT stat "$C/1985-04-12T23:20:50Z"
	assert_errno ENOENT stat "$C/0000-01-01T00:00:00Z"
	assert_errno ENOENT stat "$C/1990-12-31T15:59:60-08:00"
}

@test "what is no time is EINVAL" {
	echo one >>"$A"
	for name in now 2026 2026-11-27 2026-11-27T08:00:00 '2026-11-27 08:00:00Z' 2026-02-30T08:00:00Z 2026-11-27T24:00:00Z \
		2026-11-27T08:00:00.Z 2026-11-27T08:00:00+1 -1 1795411654; do
		assert_errno EINVAL stat "$C/$name"
		assert_errno EINVAL stat "$AT/$name"
	done
}

@test "a time that has not come is ENOENT" {
	echo one >>"$A"
	for time in "$(date -u -d '+10 seconds' +%FT%TZ)" 2262-04-11T23:47:17Z 9999-12-31T23:59:59.999999999Z; do
		assert_errno ENOENT stat "$C/$time"
		assert_errno ENOENT stat "$AT/$time"
	done
}

@test "before its first event there was no actor, and in an empty namespace nothing" {
	local empty
	empty="$(now)"
	echo one >>"$A"
	assert_errno ENOENT stat "$C/$empty"
	assert_errno ENOENT stat "$AT/$empty/a"
	assert_errno ENOENT stat "$AT/$(now)/nobody"
	assert_equal "$(ls "$AT/$empty")" ''
	assert_equal "$(ls "$AT/1970-01-01T00:00:00Z")" ''
	touch "$A-empty"
	assert_equal "$(stat -c %s "$AT/$(now)/a-empty")" 0
}

@test "size, time of the last event, and reading from any place" {
	seq 1000 >>"$A"
	local time
	time="$(now)"
	cp -p "$A" "$D/copy"
	seq 1000 >>"$A"
	assert_equal "$(stat -c '%s %Y' "$C/$time")" "$(stat -c '%s %Y' "$D/copy")"
	assert_equal "$(wc -l <"$C/$time")" 1000
	cmp <(tail -n 3 "$AT/$time/a") <(tail -n 3 "$D/copy")
	cmp -i 50000 "$AT/$time/a" "$D/copy"
}

@test "the same on another node and after a remount" {
	seq 10 >>"$A"
	local time
	time="$(now)"
	cp "$A" "$D/copy"
	seq 10 >>"$A"
	cmp "$D/copy" "$D/other/${AT#"$M"}/$time/a"
	cmp "$D/copy" "$D/other/${C#"$M"}/$time"
	mount_stop other
	mount_start -n other --nats "$NATS_URL" -o timeout=3
	cmp "$D/copy" "$D/other/${AT#"$M"}/$time/a"
}

@test "it stays what it was while others append" {
	seq 100 >>"$A"
	local time
	time="$(now)"
	cp "$A" "$D/copy"
	for i in {1..50}; do
		echo "$i" >>"$D/other/$NAME/a"
		cmp "$D/copy" "$C/$time"
		cmp "$D/copy" "$AT/$time/a"
	done
}

@test "they are not written to, made nor removed" {
	echo one >>"$A"
	local time
	time="$(now)"
	assert_errno EPERM append "$C/$time" $'x\n'
	assert_errno EPERM append "$AT/$time/a" $'x\n'
	assert_errno EPERM append "$AT/$time/b" $'x\n'
	assert_errno EPERM mkdir "$AT/$time/b"
	assert_errno EPERM unlink "$AT/$time/a"
	assert_errno EPERM truncate "$C/$time" 0
	assert_equal "$(wc -l <"$C/$time")" 1
}

@test "what has been erased is gone from the past, and what is made anew was not there before" {
	echo one | tee -a "$A" "$A-stays" >/dev/null
	local time
	time="$(now)"
	rm "$A"
	wait_for 5 assert_errno ENOENT stat "$C/$time" # the kernel may believe for a second what it was told
	assert_equal "$(ls "$AT/$time")" a-stays
	echo two >>"$A"
	assert_errno ENOENT stat "$C/$time"
	assert_equal "$(ls "$AT/$time")" a-stays
	cmp "$C/$(now)" "$A"
}

@test "a namespace that was made anew had nothing before" {
	echo one >>"$A"
	local time
	time="$(now)"
	assert_equal "$(ls "$AT/$time")" a
	rm -r "${M:?}/$NAME"
	mkdir "$M/$NAME"
	echo two >>"$A"
	assert_equal "$(ls "$AT/$time")" ''
	wait_for 5 assert_errno ENOENT stat "$C/$time"
	assert_equal "$(ls "$AT/$(now)")" a
}

@test "without NATS what is open goes on, and what is not waits for the timeout" {
	echo one >>"$A"
	local time
	time="$(now)"
	exec 8<"$C/$time"
	nats_kill
	assert_errno ETIMEDOUT stat "$C/${time%Z}0Z"
	assert_equal "$(jq -r .data.text <&8)" one
	exec 8<&-
}

@test "a directory at/ names nothing by itself, and nobody who walks the tree sees it" {
	echo one >>"$A"
	assert_equal "$(ls -A "$AT")" ''
	assert_equal "$(ls -A "$C")" ''
	assert_equal "$(ls -A "$M/$NAME")" a
}
