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
