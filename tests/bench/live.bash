#!/usr/bin/env bash
# Group live: inotify of other nodes' changes: how late it is, and what it costs.
# shellcheck disable=SC2154,SC2034 # set in run and lib.bash

# The processor time, in ticks, that the daemon of M and its children have used so far.
live_ticks() {
	local pid total=0 stat
	for pid in "${daemons[$M]}" $(pgrep -P "${daemons[$M]}"); do
		stat="$(cat "/proc/$pid/stat" 2>/dev/null || true)"
		# shellcheck disable=SC2086 # fields
		set -- ${stat##*) }
		total=$((total + ${12:-0} + ${13:-0}))
	done
	echo "$total"
}

# live_cpu KEY SECONDS: processor time of the next SECONDS in percent of one processor.
live_cpu() {
	local from to start end
	from="$(live_ticks)" start="${EPOCHREALTIME/./}"
	sleep "$2"
	to="$(live_ticks)" end="${EPOCHREALTIME/./}"
	sample "$1" ours 0 "$(awk -v t="$((to - from))" -v us="$((end - start))" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.3g", 100 * t / hz / (us / 1e6) }')"
}

# live_load SECONDS: 10,000 appends a second through the other mount, in the background.
live_load() {
	"$programs/bench_live" load "$A/live" 100 10000 "$1" 2>"$dir/load.err" &
	load_pid=$!
	wait_for 20 test -e "$A/live/load-99"
}

live_loaded() {
	wait "$load_pid" || failed live_cpu_watched 0 "$(head -n 1 "$dir/load.err")"
}

live_group() {
	local watch load_pid
	bench live 0
	mkdir "$M/live"
	mount_at "$A"
	collect live_p50 0 bench_live latency "$A/live" "$M/live" "$live_count"
	umount_at "$A"
	mount_at "$A" -o commit=async
	say "live, watched"
	inotifywait -m -q -o /dev/null "$M/live" &
	watch=$!
	live_load $((live_seconds + 2))
	live_cpu live_cpu_watched "$live_seconds"
	live_loaded
	kill "$watch"
	wait "$watch" || true
	# Nobody watches: at first that is not known, later it is.
	say "live, looked at"
	ls "$M/live" >/dev/null
	live_load $((live_seconds + 16))
	live_cpu live_cpu_looked "$live_seconds"
	sleep $((15 - live_seconds > 0 ? 15 - live_seconds : 0))
	live_cpu live_cpu_later 1
	live_loaded
	say "live, never looked at"
	remount
	live_load $((live_seconds + 2))
	live_cpu live_cpu_never "$live_seconds"
	live_loaded
	umount_at "$A"
	bench_end live 0
}

live_chapter() {
	wants live || return 0
	server_start
	mount_at "$M"
	live_group
	close_store
}
