#!/usr/bin/env bash
# Groups bulk, cold, warm, point and state: one large actor, made by `cat >>` (many events a message), and another whose events are
# a message each; for state one that has a snapshot.
# shellcheck disable=SC2154 # set in run and lib.bash

# Lines of 75 bytes.
make_input() {
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		printf "{\"eventType\":\"Moved\",\"data\":{\"seq\":%08d,\"text\":\"abcdefghijklmnopqrs\"}}\n", 10000000 + i }'
}

# rounds_at N FULL: as many rounds as FULL, but one for stores over the main size.
rounds_at() {
	if [[ $1 -le $main_events ]]; then echo "$2"; else echo 1; fi
}

bulk_group() {
	local n="$1" baseline=()
	[[ $n -gt $main_events ]] || baseline=(baseline)
	bench bulk "$n"
	collect bulk "$n" bench_bulk "$url" aether-events "$M/events" "$n" "$(rounds_at "$n" "$bulk_rounds")" "$dir/input" \
		"${baseline[@]}"
	bench_end bulk "$n"
}

# cold_rounds KEY N ACTOR: the first cat of a fresh mount.
cold_rounds() {
	local round
	for ((round = $(rounds_at "$2" "$cold_rounds"); round > 0; round--)); do
		remount
		measure "$1" ours "$2" "$2 / v" bench_file run cat "$M/events/$3" || return 0
		[[ $2 -gt $main_events ]] || measure "$1" baseline "$2" "$2 / v" bench_nats "$url" plain bench.plain all "$2"
	done
}

cold_group() {
	local n="$1" lines
	bench cold "$n"
	cold_rounds cold_batch "$n" "$batch"
	lines="$(wc -l <"$M/events/$batch")" || lines=0
	[[ $lines -eq $n ]] || failed cold_batch "$n" "$lines lines instead of $n"
	sample works_events ours "$n" "$lines"
	sample works_events baseline "$n" "$n"
	bench_end cold "$n"
	[[ $n -le $main_events ]] || return 0
	bench "cold, one by one" "$n"
	cold_rounds cold_single "$n" single
	[[ $(wc -l <"$M/events/single") -eq $n ]] || failed cold_single "$n" "not $n lines"
	bench_end "cold, one by one" "$n"
}

warm_group() {
	local n="$1" round size
	size="$(stat -c %s "$M/events/$batch")"
	# What is larger than the cache is never warm.
	[[ $size -le $cache_bytes ]] || return 0
	bench warm "$n"
	cat "$M/events/$batch" >"$shm/copy"
	cmp "$M/events/$batch" "$shm/copy" || failed warm "$n" "two replays differ"
	for ((round = $(rounds_at "$n" "$warm_rounds"); round > 0; round--)); do
		measure warm ours "$n" "$size / v / 1e6" bench_file run cat "$M/events/$batch" || break
		measure warm baseline "$n" "$size / v / 1e6" bench_file run cat "$shm/copy"
	done
	rm "$shm/copy"
	bench_end warm "$n"
}

# first_touch KEY N PROGRAM ARGUMENT...: of a fresh mount, beside a direct get. CONVERSION: of what the program prints to
# microseconds.
first_touch() {
	local round
	for ((round = point_rounds; round > 0; round--)); do
		remount
		measure "$1" ours "$2" "${CONVERSION:-v}" "${@:3}" || return 0
		measure "$1" baseline "$2" v bench_nats "$url" "$probe_stream" "$probe_subject" get 200
	done
}

# The end of an actor, one event of its middle, and ten events from there: KIND N ACTOR.
point_actor() {
	local n="$2" middle=$(($2 / 2)) of="$M/events/.aether/actors/$3"
	first_touch "tail_$1" "$n" bench_file tail "$M/events/$3" "{\"version\":$n,"
	first_touch "events_$1" "$n" bench_file head 1 "$of/events/$middle" "{\"version\":$middle,"
	first_touch "from_$1" "$n" bench_file head 10 "$of/from/$middle" "{\"version\":$((middle + 9)),"
}

point_group() {
	local n="$1" probe_stream=aether-events probe_subject=aether.ev.events.tiny
	bench point "$n"
	echo tiny >>"$M/events/tiny"
	point_actor batch "$n" "$batch"
	[[ $n -gt $main_events ]] || point_actor single "$n" single
	bench_end point "$n"
}

# count_requests KEY N FILE: of a fresh mount, how many messages the server gets while FILE is read.
count_requests() {
	local round before after
	for ((round = point_rounds; round > 0; round--)); do
		remount
		before="$(server_messages)"
		cat "$3" >"$dir/read"
		after="$(server_messages)"
		sample "$1" ours "$2" "$((after - before))"
		sample "$1" baseline "$2" 1
	done
}

snapshot_reaches() {
	[[ $(jq .version "$M/events/.aether/actors/$1/snapshot") -ge $2 ]]
}

# The folded state of an actor that has a snapshot of all events but the last, then but the last 500, each a message; and the actor as it
# was when it had half of them.
state_group() {
	local n="$1" half=$(($1 / 2)) of="$M/events/.aether/actors/folded" line time probe_stream=aether-events probe_subject=aether.ev.events.tiny
	bench state "$n"
	echo tiny >>"$M/events/tiny"
	head -n "$half" "$dir/input" >>"$M/events/folded"
	time="$(date -u +%FT%T.%NZ)"
	tail -n "+$((half + 1))" "$dir/input" >>"$M/events/folded"
	wait_for "$limit" snapshot_reaches folded "$n" || { failed state "$n" "no snapshot"; return 0; }
	echo '{"seq":1}' >>"$M/events/folded"
	first_touch state "$n" bench_file head 1 "$of/state" '{"seq":1,'
	count_requests state_requests "$n" "$of/state"
	CONVERSION='v * 1e6' first_touch state_cat "$n" bench_file run cat "$of/state"
	first_touch at "$n" bench_file tail "$of/at/$time" "{\"version\":$half,"
	for ((line = 2; line <= 500; line++)); do echo "{\"seq\":$line}" >>"$M/events/folded"; done
	first_touch state_behind "$n" bench_file head 1 "$of/state" '{"seq":500,'
	bench_end state "$n"
}

# What the groups after bulk read, as far as it is not there yet.
fill_events() {
	local n="$1" size
	[[ -e $M/events/$batch ]] || cat "$dir/input" >>"$M/events/$batch"
	[[ $n -le $main_events ]] || return 0
	say "making an actor of $n messages"
	size=$(($(stat -c %s "$M/events/$batch") / n))
	if wants cold point; then
		umount_at "$M"
		"$programs/bench_fill" "$url" events aether events single "$n"
		mount_at "$M"
	fi
	if wants cold; then "$programs/bench_fill" "$url" plain aether-events plain "$n" "$size"; fi
}

events_chapter() {
	local n batch
	wants bulk cold warm point state || return 0
	for n in "${event_sizes[@]}"; do
		batch="bulk-$n-0"
		server_start
		mount_at "$M"
		mkdir "$M/events"
		make_input "$n" >"$dir/input"
		if wants bulk; then bulk_group "$n"; fi
		if wants cold warm point; then fill_events "$n"; fi
		if wants cold; then cold_group "$n"; fi
		if wants warm; then warm_group "$n"; fi
		if wants point; then point_group "$n"; fi
		if wants state; then state_group "$n"; fi
		close_store
	done
}
