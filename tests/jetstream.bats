#!/usr/bin/env bats
# The store's contract on a real server: every test of build/tests/jetstream_contract, which says what each is about.

load helper

setup_file() {
	nats_start
}

setup() {
	CONTRACT="$(dirname "$AETHER")/tests/jetstream_contract"
}

teardown_file() {
	nats_stop
	sanitizer_reports
}

@test "JetStream keeps the store's contract" {
	run "$CONTRACT" "$NATS_URL"
	assert_success
	refute_line --regexp '^not ok'
}

@test "what follows and listens gets over a server that is killed" {
	AETHER_RESTART="$D/again" "$CONTRACT" "$NATS_URL" a_server_that_is_killed >"$D/out" 2>&1 3>&- &
	local pid=$!
	for _ in 1 2 3; do
		wait_for 60 test -e "$D/again.ask"
		nats_kill
		nats_start
		rm "$D/again.ask"
	done
	wait "$pid" || fail "$(tail -n 20 "$D/out")"
}
