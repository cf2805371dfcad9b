# shellcheck shell=bash
# The verbs of the bats files in which something watches a mount while somebody else makes the changes.

# What tests/clients needs of npm is in D/clients, with them.
clients_install() {
	cp -r "$TESTS/clients" "$D/clients"
	(cd "$D/clients" && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --no-update-notifier)
}

# tool COMMAND...: run it until tool_end, in a process group of its own; what it prints goes to D/out, what it complains of to D/err.
tool() {
	# Emptied here, for the job may take its time to begin: a test may look before, and must not see what the last tool said.
	: >"$D/out"
	: >"$D/err"
	setsid "$@" >>"$D/out" 2>>"$D/err" </dev/null 3>&- 4>&- &
	echo $! >"$D/tool.group"
}

tool_end() {
	local group
	[[ -e $D/tool.group ]] || return 0
	group="$(cat "$D/tool.group")"
	rm "$D/tool.group"
	kill -TERM -- "-$group" 2>/dev/null || true
	wait_for 30 not kill -0 -- "-$group" || kill -KILL -- "-$group"
}

# Has the tool an inotify watch of that file or directory?
watches() {
	local inode pid
	inode="$(printf '%x' "$(stat -c %i "$1")")"
	for pid in $(pgrep -g "$(cat "$D/tool.group")"); do
		! cat "/proc/$pid/fdinfo"/* 2>/dev/null | grep -q "^inotify .* ino:$inode " || return 0
	done
	return 1
}

# Has the tool printed a line that matches?
shown() {
	grep -qE -- "$1" "$D/out"
}

# shown_times COUNT REGEX: so many lines or more?
shown_times() {
	(($(grep -cE -- "$2" "$D/out") >= $1))
}

# watch PATH...: watch until watch_end; what is seen goes to D/seen, one event a line: names of events, name.
watch() {
	watch_into "$D/seen" "$D/watch.job" "$@"
}

watch_end() {
	local pid
	[[ -e $D/watch.job ]] || return 0
	pid="$(cat "$D/watch.job")"
	rm "$D/watch.job"
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true # it must not write into the next one's file
}

# Has an event of that name been seen?
seen() {
	grep -qxF "$1 $2" "$D/seen"
}

# All that was seen of a name so far, in one line.
all_of() {
	awk -v name="$1" '{ n = $0; sub(/^[^ ]* /, "", n); if (n == name) printf "%s ", $1 }' "$D/seen"
}

# Has an append to that name been seen to its end? That it was made may have been told apart, when it took long until it was appended to.
appended() {
	[[ $(all_of "$1") == *'MODIFY CLOSE_WRITE,CLOSE ' ]]
}

# The process that repeats on a mount what other nodes do.
poker() {
	pgrep -P "$(cat "$D/${1:-mnt}.pid")" -f 'aether poke'
}

# ask SUBJECT [DATA]: one request to the file's own server, in NATS' own words; prints the answer, or nothing when there is none.
ask() {
	local line data=${2:-} LC_ALL=C
	exec 9<>"/dev/tcp/127.0.0.1/$(cat "$D/nats/port")"
	printf 'CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n' "$1" "${#data}" "$data" >&9
	while IFS= read -t 30 -r line <&9; do
		[[ $line != MSG* ]] || break
	done
	IFS= read -t 30 -r line <&9
	exec 9>&-
	printf '%s\n' "${line%$'\r'}"
}

# plain_append NAMESPACE [SEQUENCE]: lines "ACTOR TEXT", appended by a program that is no node and knows the format only (clients/append.py).
plain_append() {
	/usr/bin/python3 "$TESTS/clients/append.py" "$(cat "$D/nats/port")" "$@"
}
