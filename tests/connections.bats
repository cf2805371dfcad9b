#!/usr/bin/env bats
# A mount has a connection to NATS for requests and others for the rest; any may die alone.

load helper

setup_file() {
	NATS_CONF='max_payload: 16MB' nats_start
	mount_start --nats "$NATS_URL" -o timeout=60
	mkdir "$N"
	ls "$N" >/dev/null
}

# The local port of each connection of the mount.
ports() {
	ss -tnH state established dport = ":${NATS_URL##*:}" | awk '{ sub(/.*:/, "", $3); print $3 }' | sort -n
}

at_least_two() {
	[[ "$(ports | wc -l)" -ge 2 ]]
}

# as_many_without COUNT PORT: are there COUNT connections again, and not that one?
as_many_without() {
	[[ "$(ports | wc -l)" -ge $1 ]] && not grep -qx "$2" <(ports)
}

@test "any connection may die alone: no append fails, is lost or is stored twice" {
	wait_for 30 at_least_two
	(for i in {1..400}; do echo "$i" >>"$N/counted" || exit 1; done) &
	writer=$!
	for which in head tail head tail head tail; do
		count="$(ports | wc -l)" port="$(ports | "$which" -n 1)"
		ss -K -tnH dport = ":${NATS_URL##*:}" sport = ":$port" >&2
		wait_for 30 as_many_without "$count" "$port"
	done
	wait "$writer"
	assert_equal "$(events "$N/counted" | xargs)" "$(seq 400 | xargs)"
}

# Does a connection of the mount have more to send than the server's socket takes?
is_full() {
	ss -tnH state established dport = ":${NATS_URL##*:}" | awk '$2 > 250000 { full = 1 } END { exit !full }'
}

# stuffed ACTOR: is the server frozen in the middle of an append of that file to it? If it was asked something before, the append waits and
# is not on its way.
stuffed() {
	: >>"$1"
	wait_for 30 at_least_two
	ports | xargs >"$D/before"
	eval "$(freeze)"
	"$ERRNO_DO" append-stdin "$1" <"$D/large" >"$D/outcome" 3>&- 4>&- &
	wait_for 4 is_full || { eval "$(thaw)"; wait; return 1; }
}

@test "an append larger than the socket takes at once" {
	head -c 12000000 /dev/zero | tr '\0' x >"$D/large"
	for try in 1 2 3 4 5 6 7 8; do
		! stuffed "$A-$try" || break
	done
	eval "$(thaw)"
	wait
	assert_equal "$(cat "$D/outcome") $(ports | xargs)" "OK $(cat "$D/before")"
	assert_equal "$(jq -r '.data.text | length' "$A-$try")" 12000000
}
