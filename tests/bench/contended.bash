#!/usr/bin/env bash
# Group contended: 4 nodes with 8 writers each append to one actor.
# shellcheck disable=SC2154,SC2034 # set in run and lib.bash

# contended KEY LINES WRITERS NAMESPACE...
contended() {
	collect "$1" 0 bench_contended "$1" "$contended_rounds" "${@:2}"
}

contended_chapter() {
	local i places=("$M/one") async=()
	wants contended || return 0
	server_start
	mount_at "$M"
	mkdir "$M/one"
	for i in 2 3 4; do
		mount_at "$A$i"
		places+=("$A$i/one")
	done
	bench contended 0
	contended contended "$contended_lines" 8 "${places[@]}"
	# What is ours of that, and what the kernel's, which lets in one write to a file at a time.
	contended contended_single "$contended_lines" 1 "${places[@]}"
	contended contended_node "$contended_lines" 8 "${places[0]}"
	umount_all
	for i in 1 2 3 4; do
		mount_at "$A$i" -o commit=async
		async+=("$A$i/one")
	done
	contended contended_async $((4 * contended_lines)) 8 "${async[@]}"
	bench_end contended 0
	close_store
}
