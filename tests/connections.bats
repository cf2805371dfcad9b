#!/usr/bin/env bats
# A mount has two connections to NATS, one for requests and one for the rest; either may die alone.

load helper

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL"
	mkdir "$N"
}

# The local port of each connection of the mount.
ports() {
	ss -tnH state established dport = ":${NATS_URL##*:}" | awk '{ sub(/.*:/, "", $3); print $3 }' | sort -n
}

two_connections() {
	[[ "$(ports | wc -l)" -eq 2 ]]
}

other_than() {
	two_connections && [[ "$(ports | xargs)" != "$1" ]]
}

@test "either connection may die alone: no append fails, is lost or is stored twice" {
	wait_for 10 two_connections
	(for i in {1..400}; do echo "$i" >>"$N/counted" || exit 1; done) &
	writer=$!
	for which in head tail head tail head tail; do
		before="$(ports | xargs)"
		ss -K -tnH dport = ":${NATS_URL##*:}" sport = ":$(ports | "$which" -n 1)" >&2
		wait_for 10 other_than "$before"
	done
	wait "$writer"
	assert_equal "$(events "$N/counted" | xargs)" "$(seq 400 | xargs)"
}

@test "an append larger than the socket takes at once" {
	wait_for 10 two_connections
	before="$(ports | xargs)"
	head -c 900000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/large"
	for i in 1 2 3; do cat "$BATS_TEST_TMPDIR/large" <(echo) >>"$N/large"; done
	assert_equal "$(ports | xargs)" "$before"
	assert_equal "$(jq -r '.data.text | length' "$N/large" | xargs)" '900000 900000 900000'
}
