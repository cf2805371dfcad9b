#!/usr/bin/env bash
# Group contended: 4 nodes with 8 writers each append to one actor.
# shellcheck disable=SC2154,SC2034 # set in run and lib.bash

contended_chapter() {
	local i places=()
	wants contended || return 0
	server_start
	mount_at "$M"
	mkdir "$M/one"
	places=("$M/one")
	for i in 2 3 4; do
		mount_at "$A$i"
		places+=("$A$i/one")
	done
	bench contended 0
	collect contended 0 bench_contended contended "$contended_rounds" "$contended_lines" 8 "${places[@]}"
	umount_all
	# There the kernel is not kept waiting for the store.
	places=()
	for i in 1 2 3 4; do
		mount_at "$A$i" -o commit=async
		places+=("$A$i/one")
	done
	collect contended_async 0 bench_contended contended_async "$contended_rounds" $((4 * contended_lines)) 8 "${places[@]}"
	bench_end contended 0
	close_store
}
