#!/usr/bin/env bats
# Appends without a mount: NATS requests, by the npm package nats as a client that knows nothing of Aether.

load helper
load live
load nodes

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" --node-id one
	mount_start -n other --nats "$NATS_URL" --node-id two
	mkdir "$N"
	clients_install
}

setup() {
	ACTOR="a$BATS_TEST_NUMBER"
	A="$N/$ACTOR"
	B="$D/other/t/$ACTOR"
}

teardown() {
	watch_end
}

# req SUBJECT [--each]: requests with standard input.
req() {
	node "$D/clients/request.cjs" "$NATS_URL" "$@"
}

@test "a line: the version; the event is there on every node, as an append to the file would have made it" {
	assert_equal "$(req "aether.append.t.$ACTOR" <<<'{"eventType":"Paid","data":{"total":1.10}}')" '{"version":1}'
	assert_equal "$(jq -c '[.version, .eventType, .actorId]' <"$A")" "[1,\"Paid\",\"$ACTOR\"]"
	grep -q '"data":{"total":1.10}' "$B"
	diff "$A" "$B"
}

@test "lines of one request are one commit: the last version" {
	assert_equal "$(seq 50 | req "aether.append.t.$ACTOR")" '{"version":50}'
	assert_versions_1_to 50 "$A"
	assert_equal "$(printf 'no newline' | req "aether.append.t.$ACTOR")" '{"version":51}'
	assert_equal "$(events "$B" | tail -n 1)" 'no newline'
}

@test "a version that is not above the latest: the conflict, and nothing stored" {
	seq 3 >>"$A"
	before="$(fingerprint "$A")"
	run -0 req "aether.append.t.$ACTOR" <<<'{"eventType":"E","data":{},"version":3}'
	assert_output "{\"error\":\"version conflict\",\"actorId\":\"$ACTOR\",\"currentVersion\":3,\"attemptedVersion\":3}"
	assert_equal "$(fingerprint "$A")" "$before"
	assert_equal "$(req "aether.append.t.$ACTOR" <<<'{"eventType":"E","data":{},"version":4}')" '{"version":4}'
	# One of several lines conflicts: none is stored.
	printf '%s\n' '{"eventType":"E","data":{},"version":5}' '{"eventType":"E","data":{},"version":5}' |
		req "aether.append.t.$ACTOR" | jq -e '.error == "version conflict"'
	assert_equal "$(version_of "$A")" 4
}

@test "the same id again: success, and nothing more; with other content EEXIST" {
	line='{"id":"x-1","eventType":"E","data":{"n":1}}'
	assert_equal "$(req "aether.append.t.$ACTOR" <<<"$line")" '{"version":1}'
	assert_equal "$(req "aether.append.t.$ACTOR" <<<"$line")" '{"version":1}'
	req "aether.append.t.$ACTOR" <<<"${line/1\}/2\}}" | jq -e '.code == "EEXIST"'
	assert_versions_1_to 1 "$A"
}

@test "what is wrong is told, and nothing is stored" {
	for bad in '{"eventType":1}' '{"nonsense"' '{"eventType":"E","data":{},"more":1}'; do
		req "aether.append.t.$ACTOR" <<<"$bad" | jq -e '.code == "EINVAL" and (.error | length > 0)'
	done
	req "aether.append.t.$ACTOR" </dev/null | jq -e '.code == "EINVAL"'
	printf '\n\n' | req "aether.append.t.$ACTOR" | jq -e '.code == "EINVAL"'
	printf '\377\n' >"$D/bad"
	assert_errno ENOENT stat "$A"
	req aether.append.nowhere.a <<<x | jq -e '.code == "ENOENT"'
	req aether.append.t.%2Ehidden <<<x | jq -e '.code == "EINVAL" or .code == "EPERM"'
	req aether.append.t.a%zz <<<x | jq -e '.code == "EINVAL"'
}

@test "names are percent-encoded as on the wire" {
	assert_equal "$(req 'aether.append.t.b%C3%BCro%2E1' <<<x)" '{"version":1}'
	assert_equal "$(events "$N/büro.1")" x
}

@test "many requests at once to one actor, beside appends on both nodes: nothing lost, nothing twice" {
	for i in {1..100}; do echo "m$i"; done >"$D/m"
	while read -r line; do echo "$line" >>"$A"; done <"$D/m" 3>&- &
	first=$!
	while read -r line; do echo "o$line" >>"$B"; done <"$D/m" 3>&- &
	second=$!
	seq 300 | req "aether.append.t.$ACTOR" --each >"$D/answers"
	wait "$first" "$second"
	assert_equal "$(jq -s 'map(.version) | unique | length' "$D/answers")" 300
	assert_versions_1_to 500 "$A"
	diff <(events "$A" | sort) <({ cat "$D/m"; sed s/^/o/ "$D/m"; seq 300; } | sort)
	# Each was told the version of its own event.
	diff <(jq -r '.version' "$D/answers") <(events "$B" '[.data.text, .version] | @tsv' | grep -E '^[0-9]+	' | sort -n | cut -f 2)
}

@test "inotify tells both nodes of an append by request" {
	watch "$N" "$D/other/t"
	req "aether.append.t.$ACTOR" <<<1
	wait_for 30 bash -c '[[ $(grep -cxF "CREATE $0" "$1") == 2 && $(grep -cxF "MODIFY $0" "$1") == 2 ]]' "$ACTOR" "$D/seen"
}

@test "any node answers: also when the one that did is gone" {
	assert_equal "$(req "aether.append.t.$ACTOR" <<<1)" '{"version":1}'
	mount_stop other
	assert_equal "$(req "aether.append.t.$ACTOR" <<<2)" '{"version":2}'
	mount_start -n other --nats "$NATS_URL" --node-id two
	assert_equal "$(req "aether.append.t.$ACTOR" <<<3)" '{"version":3}'
	assert_versions_1_to 3 "$B"
}

@test "the same with NATS' own protocol and nothing else" {
	assert_equal "$(ask "aether.append.t.$ACTOR" '{"eventType":"E","data":{}}')" '{"version":1}'
}
