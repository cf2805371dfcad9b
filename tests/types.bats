#!/usr/bin/env bats
# by-type/<EventType>: all events of a namespace of one type, in stream order, as a file that only grows.

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
	BY="$M/$NAME/.aether/by-type"
	OTHER="$D/other/$NAME/.aether/by-type"
}

teardown_file() {
	stop_all
}

# event TYPE [N]: a line to append.
event() {
	printf '{"eventType":"%s","data":{"n":%s}}\n' "$1" "${2:-0}"
}

numbers() {
	jq -c .data.n "$1" | tr '\n' ' '
}

@test "a type's events across actors, in the order in which they were stored" {
	for i in {1..9}; do
		event "T$((i % 3))" "$i" >>"$A-$((i % 2))"
	done
	assert_equal "$(ls "$BY")" $'T0\nT1\nT2'
	assert_equal "$(numbers "$BY/T0")" '3 6 9 '
	assert_equal "$(numbers "$BY/T1")" '1 4 7 '
	diff <(sort "$BY"/*) <(sort "$A"-*)
}

@test "the lines are the actors' own, byte for byte" {
	printf '%s\n' '{"eventType":"T","id":"x","metadata":{"k":"v"},"data":{"n":1.10,"big":1e400}}' 'plain text' '{"n":9007199254740993}' >>"$A"
	cmp <(sed -n 1p "$A") "$BY/T"
	cmp <(sed -n 2p "$A") "$BY/Text"
	cmp <(sed -n 3p "$A") "$BY/Event"
}

@test "several types in one commit" {
	{ event P 1; event Q 2; event P 3; event R 4; event P 5; } >"$D/lines"
	cat "$D/lines" >>"$A"
	assert_equal "$(numbers "$BY/P")" '1 3 5 '
	assert_equal "$(numbers "$BY/Q")" '2 '
	diff <(grep '"P"' "$A") "$BY/P"
}

@test "it grows, and what has been read stays where it is" {
	event T 1 >>"$A"
	exec 8<"$BY/T"
	cat <&8 >"$D/seen"
	for i in {2..20}; do
		event T "$i" >>"$A-$i"
		cat <&8 >>"$D/seen"
		cmp "$D/seen" "$BY/T"
	done
	exec 8<&-
	assert_equal "$(wc -l <"$D/seen")" 20
}

@test "size and time, as for any file" {
	for i in {1..50}; do event T "$i" >>"$A"; done
	event U >>"$A"
	assert_equal "$(stat -c %s "$BY/T")" "$(wc -c <"$BY/T")"
	assert_equal "$(stat -c %y "$BY/U")" "$(stat -c %y "$A")"
	assert_equal "$(tail -n 2 "$BY/T" | numbers /dev/stdin)" '49 50 '
	cmp <(tail -c +1000 "$BY/T") <(grep '"T"' "$A" | tail -c +1000)
	event T 51 >>"$A"
	assert_equal "$(stat -c %s "$BY/T")" "$(grep '"T"' "$A" | wc -c)"
}

@test "tail -f follows it" {
	event T 1 >>"$A"
	tail -n +1 -s 0.05 -f "$BY/T" >"$D/tail" 2>/dev/null 3>&- &
	local pid=$!
	for i in {2..5}; do
		event T "$i" >>"$D/other/$NAME/b"
		wait_for 10 grep -q "\"n\":$i}" "$D/tail"
	done
	kill "$pid"
	cmp "$D/tail" "$BY/T"
}

@test "an open on another node sees what was appended before" {
	for i in {1..30}; do
		event T "$i" >>"$A"
		assert_equal "$(wc -l <"$OTHER/T")" "$i"
		event "Type$i" >>"$D/other/$NAME/b"
		assert_equal "$(wc -l <"$BY/Type$i")" 1
	done
	cmp "$BY/T" "$OTHER/T"
}

@test "of an erased actor nothing is left" {
	for i in 1 2 3; do event T "$i" >>"$A-$i"; done
	event Only >>"$A-2"
	exec 8<"$BY/T" 9<"$OTHER/T"
	rm "$A-2"
	assert_equal "$(numbers "$BY/T")" '1 3 '
	assert_equal "$(numbers "$OTHER/T")" '1 3 '
	assert_equal "$(ls "$BY")" T
	assert_errno ENOENT read "$BY/Only"
	run cat <&8
	assert_output --partial 'Stale file handle'
	run cat <&9
	assert_output --partial 'Stale file handle'
	exec 8<&- 9<&-
	event T 4 >>"$A-2"
	assert_equal "$(numbers "$OTHER/T")" '1 3 4 '
}

@test "names that no file can have are percent-encoded" {
	event 'a/b' 1 >>"$A"
	event '.' 2 >>"$A"
	event '..' 3 >>"$A"
	event '50%' 4 >>"$A"
	event 'tab\t' 5 >>"$A"
	event 'Größe x*' 6 >>"$A"
	assert_equal "$(ls "$BY" | sort)" "$(printf '%s\n' '%2E' '%2E.' '50%25' 'Größe x*' 'a%2Fb' 'tab%09' | sort)"
	for pair in 'a%2Fb 1' '%2E 2' '%2E. 3' '50%25 4' 'tab%09 5'; do
		assert_equal "$(numbers "$BY/${pair% *}")" "${pair#* } "
	done
	assert_errno ENOENT stat "$BY/a%2fb"
	assert_errno ENOENT stat "$BY/50%"
}

@test "a name too long for a file is cut, and ends in its digest" {
	local long
	long="$(printf 'x%.0s' {1..300})"
	event "${long}1" 1 >>"$A"
	event "${long}2" 2 >>"$A"
	run ls "$BY"
	assert_equal "${#lines[@]}" 2
	assert_equal "${#lines[0]}" 255
	assert_equal "$(cat "$BY"/* | numbers /dev/stdin | tr ' ' '\n' | sort | xargs)" '1 2'
	assert_equal "$(wc -l <"$BY/${lines[1]}")" 1
	assert_errno ENAMETOOLONG stat "$BY/$long"
}

@test "what has no event is not there" {
	assert_equal "$(ls -A "$BY")" ''
	assert_errno ENOENT read "$BY/T"
	touch "$A"
	assert_errno ENOENT stat "$BY/T"
	event T >>"$A"
	assert_errno ENOENT stat "$BY/t"
	assert_errno OK stat "$BY/T"
}

@test "it is not written to" {
	event T >>"$A"
	assert_errno EPERM append "$BY/T" $'x\n'
	assert_errno EPERM append "$BY/U" $'x\n'
	assert_errno EPERM truncate "$BY/T" 0
	assert_errno EPERM unlink "$BY/T"
	assert_errno EPERM mkdir "$BY/U"
	assert_equal "$(wc -l <"$BY/T")" 1
	assert_equal "$(ls -A "$M/$NAME")" a
}

@test "a hundred thousand events: listed, counted, and ten among them found" {
	for i in {1..10}; do
		seq 10000 >>"$A-$((i % 4))"
		event Rare "$i" >>"$A-$i"
	done
	assert_equal "$(wc -l <"$BY/Text")" 100000
	assert_equal "$(numbers "$BY/Rare")" '1 2 3 4 5 6 7 8 9 10 '
	local start=${EPOCHREALTIME/./}
	assert_equal "$(wc -l <"$OTHER/Text")" 100000
	assert_equal "$(wc -l <"$OTHER/Rare")" 10
	((${EPOCHREALTIME/./} - start < 20000000))
	diff <(sort "$OTHER/Text" "$OTHER/Rare") <(sort "$A"-*)
	cmp <(tail -n 5 "$BY/Text") <(tail -n 5 "$OTHER/Text")
}

@test "the same after a remount" {
	for i in {1..100}; do event "T$((i % 7))" "$i"; done >>"$A"
	event T0 200 >>"$A-2"
	cp -r "$OTHER" "$D/before"
	mount_stop other
	mount_start -n other --nats "$NATS_URL" -o timeout=3
	diff -r "$D/before" "$OTHER"
}

@test "a namespace that was made anew has its own" {
	event Old >>"$A"
	event T 1 >>"$A"
	assert_equal "$(ls "$OTHER")" $'Old\nT'
	rm -r "${M:?}/$NAME"
	mkdir "$M/$NAME"
	wait_for 5 test -d "$OTHER"
	event T 2 >>"$A"
	assert_equal "$(ls "$BY")" T
	assert_equal "$(ls "$OTHER")" T
	assert_equal "$(numbers "$OTHER/T")" '2 '
}

@test "without NATS what is open goes on, and an open waits for the timeout" {
	for i in 1 2 3; do event T "$i" >>"$A"; done
	exec 8<"$BY/T"
	cat <&8 >"$D/seen"
	nats_kill
	assert_errno ETIMEDOUT read "$BY/T"
	assert_errno ETIMEDOUT stat "$BY/Unheard"
	cat <&8 >>"$D/seen" # nothing more, and no error
	exec 8<&-
	nats_back
	cmp "$D/seen" "$BY/T"
}

@test "under consistency=eventual what is known is served without NATS" {
	event T 1 >>"$A"
	mount_start -n late --nats "$NATS_URL" -o timeout=2,consistency=eventual
	local late="$D/late/$NAME/.aether/by-type"
	assert_equal "$(numbers "$late/T")" '1 '
	nats_kill
	assert_equal "$(ls "$late")" T
	assert_errno ENOENT stat "$late/U"
	nats_back
	wait_for 20 cat "$late/T"
	mount_stop late
}
