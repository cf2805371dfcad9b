# shellcheck shell=bash
# The verbs of the files in which one node, A, watches what another, B, does while something goes wrong in between. Loaded after helper.
# A is mounted at D/mnt, B at D/other; both see the namespace t. Each test has a tag T, which ends the names that are its own.
#
# What is written is made so that nothing that is lost can hide behind what comes after it: most actors are appended to once while they are
# watched, and each must be told of. One, all-T, is appended to all the time, and read whenever it is told of.

# So many actors, and so many namespaces, are there before the watch.
LIVE_OLD=100
LIVE_GONE=8

live_setup() {
	T="$BATS_TEST_NUMBER"
	A="$D/mnt/t"
	B="$D/other/t"
	export T A B
	rm -f "$D"/live.*
	insist OK stat "$A"
	insist OK stat "$B"
}

live_teardown() {
	local name
	for name in writer reader feed watch; do
		[[ ! -e $D/live.$name ]] || kill "$(cat "$D/live.$name")" 2>/dev/null || true
		rm -f "$D/live.$name"
	done
}

# insist OUTCOMES COMMAND...: run errno-do until its outcome is one of these, joined by |; ETIMEDOUT is the only other that may be. D/live.tries
# has what was tried, and when.
insist() {
	local got
	while :; do
		echo "$(date +%T.%N) ${*:2}" >>"$D/live.tries"
		got="$("$ERRNO_DO" "${@:2}" 2>/dev/null)" || true
		[[ ! $got =~ ^($1)$ ]] || return 0
		[[ $got == ETIMEDOUT ]] || break
	done
	echo "${*:2}: $got" | tee -a "$D/live.refused"
	return 1
}

# live_watch: make what is to be there, on A itself, so that nothing of it is left to tell; then watch A's root and its namespace, and read
# the namespace's feed there. What is seen goes to D/live.seen, one event a line: names of events, name; what is read to D/live.lines.
live_watch() {
	local i
	for ((i = 0; i < LIVE_OLD; i++)); do
		until echo 0 >>"$A/old-$T-$i"; do :; done
	done
	for ((i = 0; i < LIVE_GONE; i++)); do insist 'OK|EEXIST' mkdir "$D/mnt/gone-$T-$i"; done
	insist OK append "$A/all-$T" $'0\n'
	live_watch_only "$D/mnt" "$A"
	live_reader 3>&- 4>&- &
	echo $! >"$D/live.reader"
	cat "$A/.aether/events" >"$D/live.lines" 2>"$D/live.feed-err" 3>&- 4>&- &
	echo $! >"$D/live.feed"
	wait_for 30 live_feed_open
}

live_feed_open() {
	readlink "/proc/$(cat "$D/live.feed")/fd/"* | grep -qxF "$A/.aether/events"
}

# live_watch_only PATH...: watch these.
live_watch_only() {
	watch_into "$D/live.seen" "$D/live.watch" "$@"
}

# Reads all-T whenever it is told of, as long as the watch lasts.
live_reader() {
	local event name
	while read -r event name; do
		[[ $event == MODIFY && $name == "all-$T" ]] || continue
		until version_of "$A/all-$T" >"$D/live.read" 2>/dev/null || [[ ! -e $D/live.watch ]]; do :; done
		mv "$D/live.read" "$D/live.version"
	done < <(tail -n +1 -f --pid="$(cat "$D/live.watch")" "$D/live.seen")
}

# live_write: let B append and make and remove namespaces until live_end; each step that is done is a line of D/live.acked.
live_write() {
	: >"$D/live.acked"
	touch "$D/live.writing"
	(
		rc=0
		live_writer || rc=$?
		echo "$rc" >"$D/live.rc"
	) 3>&- 4>&- &
	echo $! >"$D/live.writer"
}

live_writer() {
	local i
	for ((i = 0; ; i++)); do
		[[ -e $D/live.writing ]] || return 0
		live_step "$i" || return 1
		echo "$i" >>"$D/live.acked"
	done
}

live_step() {
	local i=$1 actor
	for actor in "new-$T-$i" "old-$T-$((i % LIVE_OLD))" "all-$T"; do
		insist OK append "$B/$actor" "{\"eventType\":\"Step\",\"id\":\"$T-$i\"}"$'\n' || return 1
	done
	((i % 6 == 0 && i / 6 < LIVE_GONE)) || return 0
	insist 'OK|EEXIST' mkdir "$D/other/made-$T-$((i / 6))" && insist 'OK|ENOENT' rmdir "$D/other/gone-$T-$((i / 6))"
}

# What must have been seen after the steps that were done.
live_wanted() {
	awk -v t="$T" -v old="$LIVE_OLD" -v gone="$LIVE_GONE" '{
		printf "CREATE new-%d-%d\nMODIFY new-%d-%d\nMODIFY old-%d-%d\n", t, $1, t, $1, t, $1 % old
		if ($1 % 6 == 0 && $1 / 6 < gone)
			printf "CREATE,ISDIR made-%d-%d\nDELETE,ISDIR gone-%d-%d\n", t, $1 / 6, t, $1 / 6 }' "$D/live.acked"
}

live_missing() {
	comm -23 <(live_wanted | sort -u) <(sort -u "$D/live.seen")
	[[ $(cat "$D/live.version") == "$(version_of "$B/all-$T")" ]] || echo "all-$T"
}

# What the feed must have brought, each once.
live_fed() {
	awk -v t="$T" -v old="$LIVE_OLD" '{
		id = t "-" $1
		printf "new-%s %s\nold-%s-%d %s\nall-%s %s\n", id, id, t, $1 % old, id, t, id }' "$D/live.acked"
}

live_all_fed() {
	[[ -z $(comm -13 <(jq -r '"\(.actorId) \(.id)"' "$D/live.lines" | sort -u) <(live_fed | sort)) ]]
}

live_none_missing() {
	[[ -z $(live_missing) ]]
}

# live_more STEPS: wait for so many more steps.
live_more() {
	local upto
	upto="$(($(wc -l <"$D/live.acked") + $1))"
	wait_for 120 live_has "$upto" || fail "the writer stands still: $(date +%T) $(tail -n 3 "$D/live.tries")"
	[[ ! -s $D/live.rc ]] || fail "the writer was refused: $(cat "$D/live.refused") $(tail -n 8 "$D/other.log")"
}

live_has() {
	(($(wc -l <"$D/live.acked") >= $1)) || [[ -s $D/live.rc ]]
}

# live_end: the writer does its last step, and all that it has done was seen, or is in the end; what was made, once; and the feed has brought
# all of it, once and in order.
live_end() {
	rm "$D/live.writing"
	wait_for 120 test -s "$D/live.rc"
	assert_equal "$(cat "$D/live.rc") $(cat "$D/live.refused" 2>/dev/null)" '0 '
	wait_for 90 live_none_missing || fail "of $(wc -l <"$D/live.acked") steps was not told: $(live_missing | head -n 20)"
	assert_equal "$(grep '^CREATE' "$D/live.seen" | sort | uniq -d | head -n 5)" ''
	wait_for 90 live_all_fed || fail "the feed has brought $(wc -l <"$D/live.lines") of $(live_fed | wc -l) lines and $(live_feed_open && echo goes on || echo has ended): $(cat "$D/live.feed-err")"
	diff <(jq -r '"\(.actorId) \(.id)"' "$D/live.lines") <(live_fed)
}

# live_seen EVENT NAME: has it been seen?
live_seen() {
	grep -qxF "$1 $2" "$D/live.seen"
}

# past SECOND: for wait_for, where a length of time is what is tested: is it later than that second of the epoch?
past() {
	((EPOCHSECONDS > $1))
}

# live_server HOST/PORT: which one ask asks.
live_server() {
	LIVE_SERVER="$1"
}

# ask SUBJECT [DATA]: a request to that server, as an administrator's tool would send it; prints the answer
ask() {
	local line data=${2:-}
	exec 9<>"/dev/tcp/$LIVE_SERVER"
	printf 'CONNECT {"verbose":false}\r\nSUB reply 1\r\nPUB %s reply %d\r\n%s\r\n' "$1" "${#data}" "$data" >&9
	while IFS= read -t 3 -r line <&9; do
		[[ $line != MSG* ]] || break
	done
	IFS= read -t 3 -r line <&9
	exec 9>&-
	printf '%s\n' "${line%$'\r'}"
}

# delete_consumer NAME: its node may be first.
delete_consumer() {
	ask "\$JS.API.CONSUMER.DELETE.aether-t.$1" | jq -e '.success or .error.err_code == 10014'
}

# Delete all consumers of the namespace t, as an administrator might.
delete_consumers() {
	local name
	for name in $(ask '$JS.API.CONSUMER.NAMES.aether-t' | jq -r '.consumers[]?'); do
		wait_for 30 delete_consumer "$name"
	done
}
