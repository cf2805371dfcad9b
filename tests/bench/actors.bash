#!/usr/bin/env bash
# Groups small and list: a namespace of many actors. With growth also what appends cost in it.
# shellcheck disable=SC2154,SC2034 # set in run and lib.bash

# rounds_among N FULL: as many rounds as FULL, but one for namespaces over the main size.
rounds_among() {
	if [[ $1 -le $main_actors ]]; then echo "$2"; else echo 1; fi
}

# The 10 events of one actor, the first thing that is asked of a fresh mount.
small_group() {
	local n="$1" probe_stream=aether-crowd probe_subject=aether.ev.crowd.actor-00000000000000
	bench small "$n"
	first_touch small "$n" bench_file head 10 "$M/crowd/ten" '{"version":10,'
	bench_end small "$n"
}

# The first listing; all the namespace has besides the n actors is `ten`.
list_first() {
	local n="$1" round listed
	for ((round = $(rounds_among "$n" "$list_rounds"); round > 0; round--)); do
		remount
		measure ls_first ours "$n" v bench_file run ls -U "$M/crowd" ||
			{ failed works_actors "$n" "no listing"; return 0; }
		measure ls_first baseline "$n" v bench_nats "$url" aether-crowd 'aether.ev.crowd.*' last $((n + 1))
	done
	listed="$(ls -U "$M/crowd" | wc -l)"
	[[ $listed -eq $((n + 1)) ]] || failed ls_first "$n" "$listed names instead of $((n + 1))"
	sample works_actors ours "$n" $((listed - 1))
	sample works_actors baseline "$n" "$n"
}

list_long() {
	local n="$1" round before
	mkdir "$shm/crowd"
	seq -f 'actor-%014.0f' 0 "$n" | (cd "$shm/crowd" && xargs touch)
	remount
	before="$(rss_bytes)"
	timeout "$limit" ls -l "$M/crowd" >"$dir/listing" || { failed ls_long "$n" "ls -l: not done in $limit s, or an error"; return 0; }
	sample memory_actor ours "$n" $((($(rss_bytes) - before) / n))
	for ((round = $(rounds_among "$n" "$list_rounds"); round > 0; round--)); do
		measure ls_long ours "$n" v bench_file run ls -l "$M/crowd" || return 0
		measure ls_long baseline "$n" v bench_file run ls -l "$shm/crowd"
	done
}

list_group() {
	bench list "$1"
	list_first "$1"
	list_long "$1"
	rm -rf "$shm/crowd"
	bench_end list "$1"
}

append_among() {
	bench "append among actors" "$1"
	remount
	collect append_p50 "$1" bench_append "$url" aether-crowd "$M/crowd" "$1" 3 "$append_count"
	bench_writers_at "$M/crowd" among "$1" 64
	bench_end "append among actors" "$1"
}

actors_chapter() {
	local n
	wants small list || return 0
	for n in "${actor_sizes[@]}"; do
		server_start
		mount_at "$M"
		mkdir "$M/crowd"
		seq 10 >>"$M/crowd/ten"
		say "making $n actors"
		umount_at "$M"
		"$programs/bench_fill" "$url" actors aether crowd "$n"
		mount_at "$M"
		if wants small; then small_group "$n"; fi
		if wants list; then list_group "$n"; fi
		if wants growth; then append_among "$n"; fi
		close_store
	done
}
