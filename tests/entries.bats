#!/usr/bin/env bats
# Numbered entries: events/<N> is one event, from/<N> the rest of the actor from there on.

load helper

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	C="$N/.aether/actors/a$BATS_TEST_NUMBER"
}

# An actor with the versions 1, 2, 3, 7, 8, 20.
with_gaps() {
	printf '%s\n' one two three >>"$A"
	echo '{"eventType":"T","version":7}' >>"$A"
	printf '%s\n' eight '{"eventType":"T","version":20}' >>"$A"
}

# The lines FIRST to LAST of the actor's file.
lines() {
	sed -n "$1,$2p" "$A"
}

@test "events/N is the one event" {
	with_gaps
	cmp "$C/events/1" <(lines 1 1)
	cmp "$C/events/3" <(lines 3 3)
	cmp "$C/events/8" <(lines 5 5)
	cmp "$C/events/20" <(lines 6 6)
}

@test "from/N is the rest, in a gap from the next event on" {
	with_gaps
	cmp "$C/from/1" "$A"
	cmp "$C/from/0" "$A"
	cmp "$C/from/3" <(lines 3 6)
	cmp "$C/from/4" <(lines 4 6)
	cmp "$C/from/7" <(lines 4 6)
	cmp "$C/from/9" <(lines 6 6)
}

@test "what does not exist is ENOENT" {
	with_gaps
	for n in 0 4 6 19 21 9223372036854775807; do
		assert_errno ENOENT stat "$C/events/$n"
	done
	assert_errno ENOENT stat "$C/from/22"
	assert_errno ENOENT stat "$N/.aether/actors/nobody/events/1"
	assert_errno ENOENT stat "$N/.aether/actors/nobody/from/1"
}

@test "what is no number is EINVAL" {
	echo one >>"$A"
	for name in 01 +1 -1 ' 1' '1 ' 1.0 1e0 0x1 one ٣ 9223372036854775808 99999999999999999999999; do
		assert_errno EINVAL stat "$C/events/$name"
		assert_errno EINVAL stat "$C/from/$name"
	done
}

@test "they are not written to, made nor removed" {
	echo one >>"$A"
	for name in events/1 from/1 from/2; do
		assert_errno EPERM open "$C/$name" WRONLY,APPEND
		assert_errno EPERM open "$C/$name" WRONLY,TRUNC
		assert_errno EPERM open "$C/$name" RDWR
		assert_errno EPERM truncate "$C/$name" 0
		assert_errno EPERM unlink "$C/$name"
	done
	assert_errno EPERM open "$C/events/2" WRONLY,CREAT
	assert_errno EPERM open "$C/from/9" WRONLY,CREAT
	assert_errno EPERM mkdir "$C/events/2"
	assert_equal "$(version_of "$A")" 1
}

@test "an empty actor has from/0 and from/1, empty, and no event" {
	touch "$A"
	assert_equal "$(stat -c %s "$C/from/1")$(cat "$C/from/1" "$C/from/0")" 0
	assert_errno ENOENT stat "$C/from/2"
	assert_errno ENOENT stat "$C/events/1"
	assert_equal "$(ls "$C/events")" ""
}

@test "from/N behind the latest is empty, and grows" {
	echo one >>"$A"
	exec 7<"$C/from/2"
	assert_equal "$(stat -c %s "$C/from/2")$(cat <&7)" 0
	echo two >>"$A"
	assert_equal "$(cat <&7 | jq -r .data.text)" two
	echo three >>"$A"
	assert_equal "$(cat <&7 | jq -r .data.text)" three
	exec 7<&-
	cmp "$C/from/2" <(lines 2 3)
}

@test "tail -f follows from/N" {
	echo one >>"$A"
	echo two >>"$A"
	timeout 100 tail -c +1 -f -s 0.05 "$C/from/2" >"$D/followed" 3>&- &
	local tail=$!
	wait_for 30 grep -q two "$D/followed"
	echo three >>"$A"
	wait_for 30 grep -q three "$D/followed"
	kill "$tail"
	cmp "$D/followed" <(lines 2 3)
}

@test "sizes, times and inode numbers are those of the content, and stay" {
	printf '%s\n' one '{"eventType":"T","timestamp":"2001-02-03T04:05:06.5Z"}' three >>"$A"
	assert_equal "$(stat -c %s "$C/events/2")" "$(lines 2 2 | wc -c)"
	assert_equal "$(stat -c %s "$C/from/2")" "$(lines 2 3 | wc -c)"
	assert_equal "$(date -u -d "$(stat -c %y "$C/events/2")" +%FT%T.%1N)" 2001-02-03T04:05:06.5
	assert_equal "$(stat -c %Y "$C/from/2")" "$(stat -c %Y "$A")"
	assert_equal "$(stat -c %a "$C/events/2" "$C/from/2" "$C/events" "$C/from" | tr '\n' ' ')" "444 444 555 555 "
	stat -c '%n %i' "$C/events/2" "$C/from/2" "$C/events" >"$D/before"
	mount_stop
	mount_start
	stat -c '%n %i' "$C/events/2" "$C/from/2" "$C/events" | diff "$D/before" -
	# A listing says the same number as stat.
	# shellcheck disable=SC2012
	assert_equal "$(ls -i "$C/events" | awk '$2 == 2 { print $1 }')" "$(stat -c %i "$C/events/2")"
}

@test "events/ lists the versions that exist, from/ nothing" {
	with_gaps
	assert_equal "$(ls -U "$C/events" | tr '\n' ' ')" "1 2 3 7 8 20 "
	assert_equal "$(ls -a "$C/from" | tr '\n' ' ')" ". .. "
	cat "$C"/events/{1,2,3,7,8,20} | cmp - "$A"
}

@test "5,000 events, some together, some alone, with large ones between" {
	seq 3000 >>"$A"
	for i in {3001..3020}; do echo "$i" >>"$A"; done
	head -c 300000 /dev/zero | tr '\0' x >"$D/large"
	{
		cat "$D/large"
		echo
		seq 3022 5000
	} >>"$A"
	ls -U "$C/events" | diff - <(seq 5000)
	mount_stop
	mount_start
	for n in 1 2 2999 3000 3001 3010 3020 3021 3022 4000 5000; do
		cmp "$C/events/$n" <(lines $n $n)
		cmp "$C/from/$n" <(lines $n 5000)
	done
	ls -U "$C/events" | diff - <(seq 5000)
	find "$C/events" -type f -printf '%f %s\n' | diff - <(awk '{ print NR, length + 1 }' "$A")
}

@test "a listing goes on where seekdir says" {
	seq 3000 >>"$A"
	run "$ERRNO_DO" seekdir "$C/events"
	assert_output OK
}

memory_of() {
	awk '/VmRSS/ { print $2 * 1024 }' "/proc/$(cat "$D/mnt.pid")/status"
}

@test "a cold from/N and events/N of a large actor do not replay it" {
	local before after
	seq -f '%0.0f padded to be a little longer than it would be otherwise' 200000 >>"$A"
	mount_stop
	mount_start
	before="$(memory_of)"
	assert_equal "$(jq -r '"\(.version) \(.data.text)"' "$C/events/150000")" \
		"150000 150000 padded to be a little longer than it would be otherwise"
	assert_equal "$(wc -l <"$C/from/199990")" 11
	after="$(memory_of)"
	# What was read stays in memory, and sixty megabytes are stored.
	((after - before < 15000000 * ${AETHER_TEST_MEMORY_FACTOR:-1})) || fail "$((after - before)) bytes more in memory"
}

@test "what another mount appends is there at once" {
	mount_start -n other
	local other="$D/other/t/.aether/actors/a$BATS_TEST_NUMBER" i
	for i in {1..30}; do
		echo "$i" >>"$A"
		assert_equal "$(jq -r .data.text "$other/events/$i")" "$i"
		cmp "$other/from/$i" "$C/events/$i"
		assert_equal "$(ls "$other/events" | wc -l)" "$i"
	done
	mount_stop other
}

@test "they are not seen by those who walk the tree" {
	echo one >>"$A"
	cat "$C/events/1" "$C/from/1" >"$D/read"
	assert_equal "$(find "$M" -path '*/.aether/*')" ""
	assert_equal "$(grep -rl '"actorId":"a'"$BATS_TEST_NUMBER"'"' "$M")" "$A"
}

@test "while NATS is away, what was read can be read again" {
	local events="$D/away/t/.aether/actors/a/events"
	nats_start
	mount_start -n away --nats "$NATS_URL"
	mkdir "$D/away/t"
	seq 100 >>"$D/away/t/a"
	cat "$events"/{1..100} >"$D/read"
	nats_kill
	cat "$events"/{1..100} | cmp - "$D/read"
	mount_stop away
}
