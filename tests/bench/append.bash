#!/usr/bin/env bash
# Groups append and writers: small appends, one after the other and many at once.
# shellcheck disable=SC2154,SC2034 # set in run and lib.bash

# bench_writers_at DIRECTORY KEY X WRITERS: sync, async and the baseline.
bench_writers_at() {
	local writers="$4" lines=$((writers_lines / $4))
	lines=$((lines < writer_lines_max ? lines : writer_lines_max))
	mount_at "$A" -o commit=async
	# If it can be in a namespace of its own, for a mount is told what another writes to one that it knows: that is measured by itself.
	local async="$A/${1##*/}"
	if [[ $2 == writers ]]; then
		async="$A/async"
		mkdir -p "$async"
	fi
	collect "$2_sync" "$3" bench_writers "$url" "aether-${1##*/}" "$1" "$async" "$2" "$3" "$writers" \
		"$writers_rounds" "$lines"
	umount_at "$A"
}

append_group() {
	bench append 0
	collect append_p50 0 bench_append "$url" aether-small "$M/small" 0 "$append_rounds" "$append_count"
	bench_end append 0
}

writers_group() {
	local writers
	for writers in 1 4 16 64; do
		bench writers "$writers"
		bench_writers_at "$M/small" writers "$writers" "$writers"
		bench_end writers "$writers"
	done
}

append_chapter() {
	wants append writers || return 0
	server_start
	mount_at "$M"
	mkdir "$M/small"
	if wants append; then append_group; fi
	if wants writers; then writers_group; fi
	close_store
}
