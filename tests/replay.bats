#!/usr/bin/env bats
# Reading large actors that the node does not have: through a cache that is too small, by readers that stop, and while the server goes away.

load helper

EVENTS=150000
TIMEOUT=3
# What AddressSanitizer keeps of freed memory would drown the rest.
export ASAN_OPTIONS="$ASAN_OPTIONS:quarantine_size_mb=16"

# A large actor, which is there for all tests, and what it reads as; the mount that wrote it has it cached.
setup_file() {
	nats_start
	mount_start -n writer --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	mkdir "$D/writer/t"
	seq "$EVENTS" >>"$D/writer/t/large"
	cat "$D/writer/t/large" >"$D/large"
}

setup() {
	mount_start --nats "$NATS_URL" -o "timeout=$TIMEOUT,cache_size=4M"
}

teardown() {
	nats_back
	mount_stop
}

peak_kib() {
	awk '/VmHWM/ { print $2 }' "/proc/$(cat "$D/mnt.pid")/status"
}

# One question to the server, in NATS' own words.
ask() {
	local line
	exec 5<>"/dev/tcp/127.0.0.1/$(cat "$D/nats/port")"
	printf 'CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB %s answer 0\r\n\r\n' "$1" >&5
	while read -r -t 5 line <&5; do
		[[ $line != '{'* ]] || break
	done
	exec 5>&-
	echo "$line"
}

# But the one that follows the namespace for inotify.
no_consumers() {
	ask '$JS.API.CONSUMER.NAMES.aether-t' | jq -e '.consumers // [] | map(select(startswith("af-") | not)) == []'
}

@test "an actor far larger than the cache replays in bounded memory, also again" {
	before="$(peak_kib)"
	cmp "$N/large" "$D/large"
	cmp "$N/large" "$D/large"
	(($(peak_kib) - before < 30000 * ${AETHER_TEST_MEMORY_FACTOR:-1}))
}

@test "a reader that stops in the middle leaves neither a consumer nor growing memory" {
	before="$(peak_kib)"
	exec 6<"$N/large"
	head -c 3000000 <&6 | cmp - <(head -c 3000000 "$D/large")
	wait_for 20 no_consumers
	(($(peak_kib) - before < 30000 * ${AETHER_TEST_MEMORY_FACTOR:-1}))
	exec 6<&-
}

@test "a reader that stopped for long goes on" {
	exec 6<"$N/large"
	dd bs=1000000 count=3 iflag=fullblock status=none <&6 >"$D/got"
	wait_for 20 no_consumers
	cat <&6 >>"$D/got"
	exec 6<&-
	cmp "$D/got" "$D/large"
}

@test "a server that is killed in the middle of a replay: the reader waits for the next and goes on" {
	exec 6<"$N/large"
	dd bs=1000000 count=3 iflag=fullblock status=none <&6 >"$D/got"
	nats_kill
	cat <&6 >>"$D/got" 3>&- &
	reader=$!
	exec 6<&- # which the server would inherit
	nats_start
	wait "$reader"
	cmp "$D/got" "$D/large"
}

@test "a server that stays away in the middle of a replay is ETIMEDOUT, and what was read is right" {
	exec 6<"$N/large"
	dd bs=1000000 count=3 iflag=fullblock status=none <&6 >"$D/got"
	nats_kill
	run bash -c 'LC_ALL=C cat <&6 >>"$D/got"'
	exec 6<&-
	assert_failure
	assert_output --partial 'timed out'
	cmp -n "$(stat -c %s "$D/got")" "$D/got" "$D/large"
	(($(stat -c %s "$D/got") < $(stat -c %s "$D/large")))
}

@test "a server that freezes in the middle of a replay is ETIMEDOUT in time" {
	exec 6<"$N/large"
	dd bs=1000000 count=3 iflag=fullblock status=none <&6 >"$D/got"
	eval "$(freeze)"
	run timeout 100 bash -c 'LC_ALL=C cat <&6 >>"$D/got"'
	exec 6<&-
	assert_output --partial 'timed out'
	cmp -n "$(stat -c %s "$D/got")" "$D/got" "$D/large"
}

# Bytes that the mount has had from the server.
received() {
	ss -tinpHO state established dport = ":$(cat "$D/nats/port")" | grep "pid=$(cat "$M.pid")," |
		grep -o 'bytes_received:[0-9]*' | awk -F: '{ n += $2 } END { print n }'
}

@test "the end of a large actor, and any piece of it, come without a replay" {
	before="$(received)"
	cmp <(tail -n 1 "$N/large") <(tail -n 1 "$D/large")
	cmp <(tail -c +10000000 "$N/large" | head -c 1000) <(tail -c +10000000 "$D/large" | head -c 1000)
	(($(received) - before < $(stat -c %s "$D/large") / 3))
	cmp "$N/large" "$D/large"
}

@test "replay --to does not read what is behind it" {
	before="$(received)"
	assert_equal "$("$AETHER" replay "$N/large" --to 3 | wc -l)" 3
	assert_equal "$("$AETHER" replay "$N/large" --from 2 --to 2 | jq .version)" 2
	(($(received) - before < $(stat -c %s "$D/large") / 3))
}

@test "several readers at once, from different places" {
	for i in 1 5000000 9000000 13000000; do
		cmp <(tail -c "+$i" "$N/large") <(tail -c "+$i" "$D/large") 3>&- || touch "$D/differs" &
	done
	wait
	for i in 1 2 3; do
		cmp "$N/large" "$D/large" 3>&- || touch "$D/differs" &
	done
	wait
	[[ ! -e $D/differs ]]
}
