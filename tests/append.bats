#!/usr/bin/env bats
# What an appended line becomes.

load helper

UUID7='[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
TIME='20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z'

@test "an event gets version, id, actor and time, in the canonical order" {
	echo '{"eventType":"OrderPlaced","data":{"total":100.00}}' >>"$A"
	run cat "$A"
	assert_output --regexp "^\{\"version\":1,\"id\":\"$UUID7\",\"eventType\":\"OrderPlaced\",\"actorId\":\"${A##*/}\",\"timestamp\":\"$TIME\",\"data\":\{\"total\":100\.00\}\}$"
}

@test "a whole event comes back with the keys in the canonical order" {
	echo '{"metadata":{"b":"2","a":"1"},"data":{"z":1,"a":[]},"timestamp":"2026-01-02T03:04:05+01:00","commandId":"c1","actorId":"'"${A##*/}"'","eventType":"T","id":"x","version":7}' >>"$A"
	run cat "$A"
	assert_output '{"version":7,"id":"x","eventType":"T","actorId":"'"${A##*/}"'","commandId":"c1","timestamp":"2026-01-02T03:04:05+01:00","data":{"z":1,"a":[]},"metadata":{"b":"2","a":"1"}}'
}

@test "an object without eventType is the data of an Event" {
	echo '{"id":5,"version":"one","anything":[1,{"b":null}]}' >>"$A"
	run events "$A" '.eventType, (.data | tojson)'
	assert_output $'Event\n{"id":5,"version":"one","anything":[1,{"b":null}]}'
}

@test "an empty object is an Event with empty data" {
	echo '{}' >>"$A"
	run events "$A" '.eventType, (.data | tojson)'
	assert_output $'Event\n{}'
}

@test "any other line is text" {
	echo 'hello, "world" \ /' >>"$A"
	run events "$A" '.eventType, .data.text'
	assert_output $'Text\nhello, "world" \\ /'
}

@test "a line is text when its brace is not the first character" {
	printf ' {"a":1}\n[1]\n"s"\n1\n' >>"$A"
	run events "$A" '.eventType + .data.text'
	assert_output $'Text {"a":1}\nText[1]\nText"s"\nText1'
}

@test "text keeps tabs, control characters and letters of every script" {
	printf 'a\tb\x01\x7f ü 日本 🙂\r\n' >>"$A"
	run events "$A"
	assert_output "$(printf 'a\tb\x01\x7f ü 日本 🙂\r')"
}

@test "numbers are kept byte for byte" {
	echo '{"eventType":"N","data":{"a":9007199254740993,"b":1.10,"c":1e400,"d":-0,"e":1E+2}}' >>"$A"
	run cat "$A"
	assert_output --partial '"data":{"a":9007199254740993,"b":1.10,"c":1e400,"d":-0,"e":1E+2}}'
}

@test "numbers of more than 63 digits are kept" {
	digits="$(printf '7%.0s' {1..200})"
	echo "{\"n\":$digits.$digits}" >>"$A"
	run cat "$A"
	assert_output --partial "{\"n\":$digits.$digits}}"
}

@test "white space between tokens goes, in strings it stays" {
	echo '{ "eventType" : "W" , "data" : { "a b" :	[ 1 , 2 ] , "c" : " x  y " } }' >>"$A"
	run cat "$A"
	assert_output --partial '"data":{"a b":[1,2],"c":" x  y "}}'
}

@test "escapes in data are kept as they were written" {
	echo '{"a":"\u00e9\/\n\ud83d\ude42é","a":1}' >>"$A"
	run cat "$A"
	assert_output --partial '"data":{"a":"\u00e9\/\n\ud83d\ude42é","a":1}}'
}

@test "an event without data has empty data" {
	echo '{"eventType":"Started"}' >>"$A"
	run cat "$A"
	assert_output --regexp '"eventType":"Started",.*"data":\{\}\}$'
}

@test "metadata and commandId are kept" {
	echo '{"eventType":"M","commandId":"c-9","metadata":{"by":"ü","empty":""}}' >>"$A"
	run events "$A" '.commandId, (.metadata | tojson)'
	assert_output $'c-9\n{"by":"ü","empty":""}'
}

@test "the time filled in is now" {
	before="$(date +%s)"
	echo x >>"$A"
	at="$(date -d "$(events "$A" .timestamp)" +%s)"
	((at >= before && at <= $(date +%s)))
}

@test "several lines of one write are several events" {
	assert_errno OK append "$A" $'one\ntwo\n{"three":3}\n'
	assert_versions_1_to 3 "$A"
	run events "$A" '.eventType'
	assert_output $'Text\nText\nEvent'
}

# A shell that redirects closes a copy of its descriptor after every command, and a close ends an unfinished line. So
# pieces are written by a dd that holds the actor open: what goes into its pipe is one write each.
exec_writer() {
	exec 7> >(exec dd of="$A" oflag=append conv=notrunc bs=64k status=none 3>&-)
	writer=$!
}

# piece TEXT BYTES: write it; BYTES are all that the writer has written then.
piece() {
	printf '%b' "$1" >&7
	wait_for 30 grep -qx "wchar: $2" "/proc/$writer/io"
}

@test "a line that arrives in pieces is committed when its newline arrives" {
	exec_writer
	piece ab 2
	assert_equal "$(version_of "$A")" 0
	piece 'c\nd' 5
	assert_equal "$(version_of "$A") $(events "$A")" '1 abc'
	exec 7>&-
	wait_for 30 bash -c '[[ $(jq -r .data.text "$0" | xargs) == "abc d" ]]' "$A"
}

@test "an unfinished last line is committed on close" {
	printf 'one\ntwo' >>"$A"
	assert_equal "$(events "$A")" $'one\ntwo'
}

@test "a character may arrive in pieces" {
	assert_errno OK append "$A" $'\xc3' $'\xbc\n'
	assert_equal "$(events "$A")" ü
}

@test "pieces from two handles do not mix" {
	exec_writer
	piece a 1
	assert_errno OK append "$A" b $'B\n'
	piece 'A\n' 3
	exec 7>&-
	assert_equal "$(events "$A")" $'bB\naA'
}

@test "empty lines are skipped" {
	printf '\n\none\n\n\ntwo\n\n' >>"$A"
	assert_versions_1_to 2 "$A"
	assert_equal "$(events "$A")" $'one\ntwo'
}

@test "nothing but empty lines adds nothing" {
	printf '\n\n\n' >>"$A"
	assert_equal "$(version_of "$A") $(stat -c %s "$A")" '0 0'
}

@test "touch creates an empty actor" {
	touch "$A"
	assert_equal "$(fingerprint "$A" | cut -d' ' -f1-4)" 'version 0 size 0'
	run ls "$N"
	assert_line "${A##*/}"
}

@test "touch of an actor with events changes nothing" {
	echo x >>"$A"
	before="$(fingerprint "$A")"
	touch "$A"
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "cp into a new name imports" {
	seq 5000 >"$D/input"
	cp "$D/input" "$A"
	events "$A" | cmp - "$D/input"
	assert_versions_1_to 5000 "$A"
}

@test "dd into a new name imports" {
	seq 3000 >"$D/input"
	dd if="$D/input" of="$A" bs=1000 status=none
	events "$A" | cmp - "$D/input"
}

@test "cat > into a new name imports" {
	seq 3000 >"$D/input"
	cat "$D/input" >"$A"
	events "$A" | cmp - "$D/input"
}

@test "tee -a appends" {
	seq 3 | tee -a "$A" >/dev/null
	echo 4 | tee -a "$A" >/dev/null
	assert_equal "$(events "$A")" "$(seq 4)"
}

@test "many lines at once keep their order and none is lost" {
	seq 50000 >"$D/input"
	cat "$D/input" >>"$A"
	events "$A" | cmp - "$D/input"
	assert_versions_1_to 50000 "$A"
}

@test "a single line of nearly the server's limit is stored" {
	long="$(head -c 900000 /dev/zero | tr '\0' x)"
	echo "$long" >>"$A"
	assert_equal "$(events "$A" | sha256sum)" "$(echo "$long" | sha256sum)"
}

@test "the replay's length is the file's size" {
	seq 100 >>"$A"
	assert_equal "$(wc -c <"$A")" "$(cat "$A" | wc -c)"
	assert_equal "$(stat -c %s "$A")" "$(cat "$A" | wc -c)"
}

@test "the same bytes come back every time" {
	seq 1000 >>"$A"
	sum="$(sha256sum <"$A")"
	assert_equal "$(dd if="$A" bs=7 status=none | sha256sum)" "$sum"
	assert_equal "$(sha256sum <"$A")" "$sum"
}

@test "tail reads the end, and a range in the middle is the same bytes" {
	seq 1000 >>"$A"
	cat "$A" >"$D/copy"
	assert_equal "$(tail -n 2 "$A")" "$(tail -n 2 "$D/copy")"
	cmp <(tail -c +54321 "$A" | head -c 4567) <(tail -c +54321 "$D/copy" | head -c 4567)
}

@test "a private map shows the content" {
	seq 1000 >>"$A"
	assert_errno OK mmap "$A"
	cmp "$D/errno-do.err" <(cat "$A")
}

@test "tail -f shows what is appended" {
	echo before >>"$A"
	timeout 100 tail -n +1 -f "$A" >"$D/followed" 3>&- &
	wait_for 30 grep -q before "$D/followed"
	for i in 1 2 3; do echo "line $i" >>"$A"; done
	wait_for 30 grep -q 'line 3' "$D/followed"
	kill %1
}

@test "an append of another process is visible at once through a handle that is open" {
	echo one >>"$A"
	exec 7<"$A"
	assert_equal "$(jq -r .data.text <&7)" one
	echo two >>"$A"
	assert_equal "$(jq -r .data.text <&7)" two
	exec 7<&-
}

@test "signals do not make a write fail while NATS answers" {
	run "$ERRNO_DO" signals "$A" 1000 150
	assert_output OK
	assert_versions_1_to 1000 "$A"
}
