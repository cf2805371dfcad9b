#!/usr/bin/env bash
# What the groups share: the server, mounts, samples, memory. Sourced by run, which sets B, AETHER and nats_server.
#
# One nats-server at a time, at $url, with its data in $dir/server; server_start begins with an empty one. Mounts are at
# $M (and $A: commit=async). Samples are lines of $dir/samples: key, side, x, value, as measure.h says; sides besides ours and
# baseline: "failed", whose value is the reason.
# shellcheck disable=SC2154,SC2034 # set by run; used by the groups

programs="$B/tests/bench"
dir="$(mktemp -d "${TMPDIR:-/tmp}/aether-bench-XXXXXX")"
shm="$(mktemp -d /dev/shm/aether-bench-XXXXXX)"
M="$dir/mnt" A="$dir/async"
url='' server_pid='' broken=0 peak_kib=0
declare -A daemons=() # mountpoint → process id

# No command that is measured takes longer than this, in seconds.
limit=120

clean_up() {
	local rc=$?
	trap - EXIT
	if [[ $rc -ne 0 || $broken -ne 0 ]]; then
		tail -n 20 "$dir"/*.log >&2 2>/dev/null || true
	fi
	umount_all || rc=1
	server_stop || true
	rm -rf --one-file-system "$dir" "$shm"
	exit "$rc"
}

say() {
	printf '%4d s  %s\n' "$SECONDS" "$*" >&2
}

# wait_for SECONDS COMMAND...: poll until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	until "${@:2}" >/dev/null 2>&1; do
		[[ $SECONDS -lt $end ]] || { echo "after $1 s still not true: ${*:2}" >&2; return 1; }
		sleep 0.02
	done
}

# Server

# In a session of its own, as a service is: Linux shares processors out among sessions first (sched_autogroup), and within ours a server would
# get one part of 33 beside 32 writers.
server_start() {
	local at="$dir/server"
	mkdir "$at"
	printf '%s\n' 'listen: "127.0.0.1:-1"' 'http: "127.0.0.1:-1"' "jetstream { store_dir: \"$at/jetstream\" }" >"$at/nats.conf"
	setsid "$nats_server" -c "$at/nats.conf" --ports_file_dir "$at" -l "$dir/nats.log" </dev/null >/dev/null 2>&1 &
	server_pid=$!
	wait_for 20 server_url
	url="$(server_url)"
}

server_url() {
	cat "$dir/server"/*.ports | grep -o 'nats://[^"]*'
}

# How many messages have come in so far, from everybody.
server_messages() {
	local at port
	at="$(grep -oh 'http://[^"]*' "$dir/server"/*.ports | head -n 1)"
	port="${at##*:}"
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET /varz HTTP/1.0\r\n\r\n' >&9
	sed '1,/^\r*$/d' <&9 | jq .in_msgs
	exec 9>&-
}

server_stop() {
	[[ -n $server_pid ]] || return 0
	kill "$server_pid" 2>/dev/null || true
	wait "$server_pid" 2>/dev/null || true
	server_pid=
	rm -rf "$dir/server"
}

# Mounts

# mount_at MOUNTPOINT [-o OPTIONS]: returns what aether mount returns.
mount_at() {
	mkdir -p "$1"
	"$AETHER" mount "$1" --nats "$url" --state-dir "$dir/state$(basename "$1")" -o "log=$dir/$(basename "$1").log" "${@:2}" || return
	daemons[$1]="$(jq .pid "$1/.aether/status")"
}

umount_at() {
	note_peak
	"$AETHER" umount "$1"
	unset "daemons[$1]"
}

# A fresh mount: the daemon knows nothing, the server still does.
remount() {
	umount_at "$M"
	mount_at "$M"
}

umount_all() {
	local at bad=0
	for at in "${!daemons[@]}"; do
		timeout 30 "$AETHER" umount "$at" || { bad=1; umount -l "$at"; kill -KILL "${daemons[$at]}"; }
	done
	daemons=()
	return "$bad"
}

# The end of a chapter: what was made is gone.
close_store() {
	umount_all
	server_stop
	rm -rf "${shm:?}"/* "$dir"/state*
}

# Samples

# sample KEY SIDE X VALUE
sample() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$dir/samples"
}

# Something broke: KEY X REASON. The others go on, and the exit code is 1.
failed() {
	sample "$1" failed "$2" "$3"
	echo "FAILED: $1 at $2: $3" >&2
	broken=1
}

# measure KEY SIDE X CONVERSION COMMAND...: the number that COMMAND prints is a sample, after CONVERSION, an expression of awk
# over v. COMMAND is one of the programs.
measure() {
	local v rc=0
	v="$(timeout -k 5 "$limit" "$programs/$5" "${@:6}" 2>"$dir/measure.err")" || rc=$?
	cat "$dir/measure.err" >&2
	if [[ $rc -eq 124 ]]; then
		failed "$1" "$3" "more than $limit s"
	elif [[ $rc -ne 0 ]]; then
		failed "$1" "$3" "$(head -n 1 "$dir/measure.err")"
	else
		sample "$1" "$2" "$3" "$(awk -v v="$v" "BEGIN { printf \"%.6g\", $4 }")"
	fi
	return "$((rc != 0))"
}

# collect KEY X PROGRAM ARGUMENT...: the program prints samples itself; a failure is one of KEY at X.
collect() {
	if ! timeout -k 5 $((4 * limit)) "$programs/$3" "${@:4}" >"$dir/collected" 2>"$dir/measure.err"; then
		failed "$1" "$2" "$(head -n 1 "$dir/measure.err")"
	fi
	cat "$dir/measure.err" >&2
	cat "$dir/collected" >>"$dir/samples"
}

# Memory of the daemons

rss_bytes() {
	awk '/^VmRSS/ { print $2 * 1024 }' "/proc/${daemons[$M]}/status"
}

note_peak() {
	local at kib
	for at in "${!daemons[@]}"; do
		kib="$(awk '/^VmHWM/ { print $2 }' "/proc/${daemons[$at]}/status" 2>/dev/null || echo 0)"
		peak_kib=$((kib > peak_kib ? kib : peak_kib))
	done
}

# bench LABEL X: announces what comes now, with a fresh mount, so that the peak of its memory is this bench's.
bench() {
	say "$1$([[ $2 -eq 0 ]] || echo ", $2")"
	remount
	peak_kib=0
}

# bench_end LABEL X
bench_end() {
	note_peak
	sample memory "$1" "$2" "$peak_kib"
}
