#!/usr/bin/env bats
# What must be refused, with the exact errno, without a trace in the actor, by a daemon that goes on serving.

load helper

refuse_lines() {
	local want=$1 line
	while IFS= read -r line; do
		assert_refused "$want" "$A" "$line"$'\n'
	done
}

@test "malformed JSON is EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{
		{"a":1
		{"a":}
		{"a" 1}
		{"a":1}}
		{"a":1} x
		{"a":1}{"b":2}
		{a:1}
		{'a':1}
		{"a":1,}
		{"a":[1,]}
		{"a":[1}
	LINES
}

@test "literals that JSON does not have are EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{"a":01}
		{"a":1.}
		{"a":.5}
		{"a":+1}
		{"a":1e}
		{"a":0x10}
		{"a":NaN}
		{"a":tru}
		{"a":TRUE}
		{"a":'b'}
	LINES
}

@test "strings that JSON does not have are EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{"a":"b
		{"a":"\x41"}
		{"a":"\u12"}
		{"a":"\u12g4"}
		{"a":"\ud800"}
		{"a":"\ud800\u0041"}
		{"a":"	"}
	LINES
}

@test "an unknown key beside eventType is EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","payload":{}}
		{"eventType":"T","data":{},"Version":1}
		{"eventType":"T","eventtype":"T"}
		{"x":1,"eventType":"T"}
	LINES
}

@test "a key that stands twice is EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","eventType":"T"}
		{"eventType":"T","data":{},"data":{}}
		{"eventType":"T","id":"a","\u0069d":"b"}
	LINES
}

@test "eventType must be a string that is not empty" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":1}
		{"eventType":null}
		{"eventType":["T"]}
		{"eventType":""}
	LINES
}

@test "data must be an object" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","data":1}
		{"eventType":"T","data":"x"}
		{"eventType":"T","data":[]}
		{"eventType":"T","data":null}
	LINES
}

@test "metadata must be an object of strings" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","metadata":"x"}
		{"eventType":"T","metadata":[]}
		{"eventType":"T","metadata":null}
		{"eventType":"T","metadata":{"a":1}}
		{"eventType":"T","metadata":{"a":"b","c":{}}}
		{"eventType":"T","metadata":{"a":null}}
	LINES
}

@test "commandId must be a string" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","commandId":1}
		{"eventType":"T","commandId":null}
	LINES
}

@test "version must be a whole number from 1 to 2^63-1" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","version":0}
		{"eventType":"T","version":-1}
		{"eventType":"T","version":2.5}
		{"eventType":"T","version":9223372036854775808}
		{"eventType":"T","version":18446744073709551617}
		{"eventType":"T","version":"2"}
		{"eventType":"T","version":null}
		{"eventType":"T","version":true}
		{"eventType":"T","version":[2]}
	LINES
}

@test "version 2^63-1 is accepted, and nothing fits after it" {
	assert_errno OK append "$A" $'{"eventType":"T","version":9223372036854775807}\n'
	assert_equal "$(version_of "$A")" 9223372036854775807
	before="$(fingerprint "$A")"
	run "$ERRNO_DO" append "$A" $'one more\n'
	assert_failure 1
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "id must be a string of 1 to 128 bytes" {
	long="$(printf 'x%.0s' {1..129})"
	refuse_lines EINVAL <<-LINES
		{"eventType":"T","id":""}
		{"eventType":"T","id":7}
		{"eventType":"T","id":null}
		{"eventType":"T","id":"$long"}
		{"eventType":"T","id":"$(printf 'ü%.0s' {1..65})"}
	LINES
	assert_errno OK append "$A" '{"eventType":"T","id":"'"${long:1}"$'"}\n'
}

@test "an id with an escaped NUL is EINVAL" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","id":"a\u0000b"}
	LINES
}

@test "actorId must be the file's name" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","actorId":"another"}
		{"eventType":"T","actorId":""}
		{"eventType":"T","actorId":5}
	LINES
	assert_errno OK append "$A" '{"eventType":"T","actorId":"'"${A##*/}"$'"}\n'
}

@test "timestamp must be an RFC 3339 date and time" {
	refuse_lines EINVAL <<-'LINES'
		{"eventType":"T","timestamp":"yesterday"}
		{"eventType":"T","timestamp":"2026-02-30T00:00:00Z"}
		{"eventType":"T","timestamp":"2026-01-02"}
		{"eventType":"T","timestamp":"2026-01-02T03:04:05"}
		{"eventType":"T","timestamp":"2026-01-02T24:00:00Z"}
		{"eventType":"T","timestamp":""}
		{"eventType":"T","timestamp":1700000000}
	LINES
}

nested() {
	printf '{"a":%s%s}' "$(head -c "$1" /dev/zero | tr '\0' '[')" "$(head -c "$1" /dev/zero | tr '\0' ']')"
}

@test "deep nesting is EINVAL: an event may have 128 levels, its own and its data's included" {
	assert_refused EINVAL "$A" "$(nested 127)"$'\n'
	assert_refused EINVAL "$A" "$(nested 50000)"$'\n'
	assert_errno OK append "$A" "$(nested 126)"$'\n'
}

@test "nesting without an end is EINVAL" {
	printf '{"a":%s\n' "$(head -c 400000 /dev/zero | tr '\0' '[')" >"$D/input"
	before="$(fingerprint "$A")"
	assert_errno EINVAL append-stdin "$A" <"$D/input"
	[[ $before == absent && $(version_of "$A") == 0 ]]
}

@test "a line over the server's limit is EMSGSIZE" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EMSGSIZE append-stdin "$A" < <(head -c 2000000 /dev/zero | tr '\0' x; echo)
	assert_equal "$(fingerprint "$A")" "$before"
	assert_errno OK append "$A" $'small\n'
}

@test "a JSON line over the server's limit is EMSGSIZE" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EMSGSIZE append-stdin "$A" < <(printf '{"a":"'; head -c 2000000 /dev/zero | tr '\0' x; echo '"}')
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "a line without an end takes no unbounded memory" {
	head -c 300000000 /dev/zero | tr '\0' x | "$ERRNO_DO" append-stdin "$A" || true
	peak_kib="$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$M.pid")/status")"
	echo "peak: $peak_kib KiB"
	((peak_kib < 250000 * ${AETHER_TEST_MEMORY_FACTOR:-1}))
	assert_errno OK append "$A" $'small\n'
}

@test "text that is not UTF-8 is EILSEQ" {
	for bytes in $'\xff' $'a\x80b' $'\xc0\xaf' $'\xe2\x82' $'\xed\xa0\x80' $'\xf4\x90\x80\x80' $'\xf8\x88\x80\x80\x80'; do
		assert_refused EILSEQ "$A" "$bytes"$'\n'
	done
}

@test "JSON that is not UTF-8 is EILSEQ" {
	assert_refused EILSEQ "$A" $'{"a":"\xff"}\n'
	assert_refused EILSEQ "$A" $'{"eventType":"\xc3\x28"}\n'
}

@test "a NUL is EILSEQ, in text and in JSON" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EILSEQ append-stdin "$A" < <(printf 'a\0b\n')
	assert_errno EILSEQ append-stdin "$A" < <(printf '{"a":"\0"}\n')
	assert_errno EILSEQ append-stdin "$A" < <(printf '\0\n')
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "one bad line refuses the whole write" {
	assert_refused EINVAL "$A" $'good\n{"bad"\ngood\n'
	assert_refused EILSEQ "$A" $'good\n{"good":1}\n\xff\n'
	assert_refused EINVAL "$A" $'{"eventType":"T","version":0}\ngood\n'
}

@test "an unfinished bad line fails at close and stores nothing" {
	assert_refused EINVAL "$A" '{"a":'
	assert_refused EILSEQ "$A" $'\xc3'
}

# After a short write a program sends the rest again: that must not become a line of its own.
@test "the refused end of a line is never a line by itself, and the next line is one" {
	"$ERRNO_DO" insist "$A" 'one {' $'\xff\n' $'\xff\n' $'\xff\n' $'whole\n' || true
	assert_equal "$(events "$A")" whole
}

@test "after a bad line the same handle goes on" {
	exec 7>>"$A"
	run bash -c 'echo "{bad" >&7'
	assert_failure
	echo good >&7
	exec 7>&-
	assert_equal "$(events "$A")" good
}

@test "the log says which line was refused and why" {
	assert_refused EINVAL "$A" $'good\ngood\n{"eventType":"T","surprise":1}\n'
	run grep -F "${A##*/}" "$M.log"
	assert_line --regexp 'line 3.*(surprise|unknown key)'
}

@test "noise of every kind does no harm" {
	echo first >>"$A"
	for i in {1..20}; do
		head -c $((i * 997)) /dev/urandom >>"$A" 2>/dev/null || true
	done
	jq -e .version <"$A" >/dev/null
	assert_errno OK append "$A" $'still here\n'
}

@test "writing elsewhere than at the end is EPERM" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EPERM write "$A" WRONLY $'x\n'
	assert_errno EPERM write "$A" RDWR $'x\n'
	assert_errno EPERM write "$A" WRONLY,APPEND,TRUNC $'x\n'
	assert_errno EPERM pwrite "$N/new$BATS_TEST_NUMBER" WRONLY,CREAT 10 $'x\n'
	assert_equal "$(fingerprint "$A")" "$before"
}
