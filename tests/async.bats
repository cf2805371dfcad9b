#!/usr/bin/env bats
# -o commit=async: writes that are answered before their events are stored.

load helper

# A mount that outlasts what the tests do to the server, one that does not, and one that commits at once.
setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=60,commit=async
	mount_start -n hasty --nats "$NATS_URL" -o timeout=2,commit=async
	mount_start -n sync --nats "$NATS_URL" -o timeout=60
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	H="$D/hasty/t/a$BATS_TEST_NUMBER"
	S="$D/sync/t/a$BATS_TEST_NUMBER"
	nats_back
}

# steps STEP...: on A; the outcomes without the last OK, which is that of the program.
steps() {
	"$ERRNO_DO" steps "$A" "$@" | sed 's/ OK$//'
}

@test "the status says which it is" {
	assert_equal "$(jq -r .commit "$M/.aether/status" "$D/sync/.aether/status" | xargs)" 'async sync'
}

@test "commit takes sync or async" {
	run -2 "$AETHER" mount "$D/other" -o commit=later
	assert_output --partial "bad value 'later' of option 'commit': it must be sync or async"
}

@test "what was written is visible at once on this node, every way" {
	touch "$A"
	{
		echo 1
		assert_equal "$(<"$N/.aether/actors/${A##*/}/version")" 1
		echo 2
		assert_equal "$(getfattr --absolute-names --only-values -n user.aether.version "$A")" 2
		echo 3
		assert_equal "$(wc -l <"$A")" 3
		echo 4
		assert_equal "$(stat -c %s "$A")" "$(wc -c <"$A")"
	} >>"$A" # and not to each, for to close it would wait
}

@test "a line that is written is read back before anything else is done" {
	run steps one "!grep -q one $A" two "!grep -q two $A" "!test \$(cat $N/.aether/actors/${A##*/}/version) = 2"
	assert_output 'OK OK'
}

@test "the other node sees what fsync and close have acknowledged" {
	run steps one two three sync "!test \$(wc -l <$S) = 3" four close "!test \$(wc -l <$S) = 4"
	assert_output 'OK OK OK OK OK OK'
}

@test "malformed lines fail in their own write, and others are stored" {
	run steps one '{"eventType":"T","nonsense":1}' two $'\xff' '{' three sync
	assert_output 'OK EINVAL OK EILSEQ EINVAL OK OK'
	assert_equal "$(events "$A" | xargs)" 'one two three'
}

@test "an error is told once, at fsync, and nothing behind it is stored" {
	run steps '{"eventType":"T","version":5}' sync "!$(freeze)" '{"eventType":"T","version":5}' behind "!$(thaw)" sync sync after sync
	assert_output 'OK OK OK OK ESTALE OK OK OK'
	assert_equal "$(events "$A" '"\(.version) \(.eventType)"' | xargs)" '5 T 6 Text'
	grep -q "append to t/${A##*/} refused: line 1: version conflict: current 5, attempted 5" "$M.log"
	assert_equal "$(jq -c 'select(.actorId == "'"${A##*/}"'") | [.currentVersion, .attemptedVersion]' "$N/.aether/conflicts")" '[5,5]'
}

@test "an error is told once, at close" {
	run steps '{"eventType":"T","version":5}' sync "!$(freeze)" '{"eventType":"T","version":5}' behind "!$(thaw)" close close sync
	assert_output 'OK OK OK OK ESTALE OK OK'
	assert_equal "$(version_of "$A")" 5
}

@test "an error is told once, by the next write, which is not stored" {
	run steps '{"eventType":"T","version":5}' sync '{"eventType":"T","version":5}' "!test \$(wc -l <$A) = 1" behind after sync
	assert_output 'OK OK OK ESTALE OK OK'
	assert_equal "$(events "$A" '"\(.version) \(.eventType)"' | xargs)" '5 T 6 Text'
}

@test "an error of one handle is none of another's" {
	exec 7>>"$A"
	run steps '{"eventType":"T","version":5}' sync "!$(freeze)" '{"eventType":"T","version":5}' "!{ echo other; $(thaw); } >&7" sync
	exec 7>&-
	assert_output 'OK OK OK ESTALE'
	assert_equal "$(events "$A" .eventType | xargs)" 'T Text'
}

@test "without NATS writes are answered, and fsync and close fail with ETIMEDOUT" {
	A="$H"
	run steps before sync "!$(freeze)" one two sync three close "!$(thaw)" sync after sync
	assert_output 'OK OK OK OK ETIMEDOUT OK ETIMEDOUT OK OK OK'
	# Unknown is not lost: the first record may be there, and then whole.
	run events "$A"
	assert_output --regexp $'^before\n(one\n(two\n)?)?(three\n)?after$'
}

@test "a handle with O_SYNC is told at once" {
	echo before >>"$H"
	eval "$(freeze)"
	assert_errno ETIMEDOUT write "$H" WRONLY,APPEND,SYNC $'x\n'
	assert_equal "$(cat "$D/errno-do.err")" '' # it was the write, and not close
}

@test "with a server that is frozen a writer is stopped, not refused, and memory does not grow" {
	head -c 60000000 /dev/zero | tr '\0' 'x' | fold -w 1000 >"$D/much"
	echo before >>"$A"
	before="$(rss)"
	eval "$(freeze)"
	dd if="$D/much" of="$A" bs=100k oflag=append conv=notrunc,fsync 2>"$D/dd" 3>&- &
	writer=$!
	wait_for 60 stands_still
	(($(rss) - before < 64000 * ${AETHER_TEST_MEMORY_FACTOR:-1}))
	eval "$(thaw)"
	wait "$writer"
	assert_versions_1_to "$(($(grep -c '' "$D/much") + 1))" "$A"
}

# Kilobytes of the daemon.
rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$M.pid")/status"
}

# For ten times in a row the writer has been seen where it was, and not at the start.
stands_still() {
	local now
	now="$(grep -h ^pos "/proc/$writer/fdinfo/0")"
	if [[ $now == "${place:-}" && $now != $'pos:\t0' ]]; then
		still=$((${still:-0} + 1))
	else
		place="$now" still=0
	fi
	((still >= 10))
}

@test "the order of each writer is that of its lines" {
	for w in 1 2 3 4; do
		seq -f "w$w-%g" 500 | while read -r i; do echo "$i"; done >>"$A" &
	done
	wait
	assert_versions_1_to 2000 "$A"
	for w in 1 2 3 4; do
		diff <(events "$A" | grep "^w$w-") <(seq -f "w$w-%g" 500)
	done
}

@test "a large file arrives whole" {
	seq -f '{"n":%.0f,"text":"abcdefghijklmnopqrstuvwxyz"}' 200000 >"$D/in"
	cat "$D/in" >>"$A"
	assert_versions_1_to 200000 "$A"
	cmp <(jq -c .data <"$A") "$D/in"
	cmp "$A" "$S"
}

@test "an unfinished line is committed at close, behind the others" {
	printf 'one\ntwo' >>"$A"
	printf 'three\nfour\nfive' >"$A-new"
	assert_equal "$(events "$A" | xargs) $(events "$A-new" | xargs)" 'one two three four five'
}

@test "aether append prints the version, and conflicts end with 3" {
	assert_equal "$("$AETHER" append "$A" '{"x":1}')" 1
	assert_equal "$("$AETHER" append "$A" '{"x":2}')" 2
	run -3 "$AETHER" append "$A" --version 2 '{"x":3}'
	assert_output --partial 'is at version 2, attempted 2'
}

@test "unmounting stores what was answered" {
	mount_start -n leaving --nats "$NATS_URL" -o timeout=60,commit=async
	echo 0 >>"$D/leaving/t/${A##*/}"
	# No other process has the file: what that closes would wait for the daemon, which waits for the server.
	leave="kill -TERM $(cat "$D/leaving.pid"); $(thaw)"
	eval "$(freeze)"
	{
		for i in {1..100}; do echo "$i"; done
		eval "$leave"
	} >>"$D/leaving/t/${A##*/}"
	wait_for 60 test -s "$D/leaving.rc"
	assert_equal "$(cat "$D/leaving.rc")" 0
	assert_versions_1_to 101 "$A"
}

@test "kill -9 of the server under load loses nothing that fsync acknowledged" {
	for w in 1 2 3; do
		"$ERRNO_DO" load-fsync "$A" "w$w" 4000 2>"$D/acked.$w" 3>&- &
	done
	for _ in 1 2 3; do
		wait_for 60 more_lines 400
		nats_kill
		nats_start
	done
	wait
	wait_for 60 cat "$A"
	jq -r .id <"$A" >"$D/stored"
	assert_equal "$(sort "$D/stored" | uniq -d)" ''
	assert_equal "$(cat "$D"/acked.? | grep -- - | sort | comm -23 - <(sort "$D/stored"))" ''
	jq .version <"$A" | sort -nc
	for w in 1 2 3; do
		grep "^w$w-" "$D/stored" | cut -d - -f 2 | sort -nc
	done
}
