#!/usr/bin/env bats
# aether snapshot: what it saves and shows, and what it refuses.

load helper

snapshot() {
	run --separate-stderr "$AETHER" snapshot "$@"
}

# Three events, of which the folded state is {"a":1,"b":3}.
setup() {
	export A="$N/a$BATS_TEST_NUMBER"
	printf '{"a":1,"b":2}\n{"c":1}\n{"b":3,"c":null}\n' >>"$A"
}

@test "save without a state saves the folded one and prints its version" {
	snapshot save "$A"
	assert_success
	assert_output 3
	snapshot show "$A"
	assert_success
	assert_equal "$(jq -cS '[.actorId, .version, .state]' <<<"$output")" '["'"${A##*/}"'",3,{"a":1,"b":3}]'
	jq -e '.timestamp | fromdateiso8601? // test("^[0-9-]+T[0-9:.]+Z$")' <<<"$output"
}

@test "save --version saves a state of one's own, as an argument, a file, or standard input" {
	echo '{"n":1.10}' >"$D/state.json"
	snapshot save "$A" --version 1 '{"n": 9007199254740993}'
	assert_output 1
	grep -qF '"state":{"n":9007199254740993}' "$N/.aether/actors/${A##*/}/snapshot"
	snapshot save "$A" --version 2 "$D/state.json"
	grep -qF '"state":{"n":1.10}' "$N/.aether/actors/${A##*/}/snapshot"
	run "$AETHER" snapshot save "$A" --version 3 - <<<'{"n":3}'
	assert_output 3
	grep -qF '"state":{"n":3}' "$N/.aether/actors/${A##*/}/snapshot"
}

@test "what show prints can be saved again" {
	"$AETHER" snapshot save "$A"
	"$AETHER" snapshot show "$A" >"$D/shown"
	"$AETHER" snapshot save "$A" --version 3 '{"other":1}'
	snapshot save "$A" "$D/shown"
	assert_success
	"$AETHER" snapshot show "$A" | cmp - "$D/shown"
}

@test "show prints what the snapshot's file holds" {
	"$AETHER" snapshot save "$A"
	"$AETHER" snapshot show "$A" | cmp - "$N/.aether/actors/${A##*/}/snapshot"
}

@test "show without a snapshot fails and says so" {
	snapshot show "$A"
	assert_failure 1
	assert_output ''
	assert_equal "${stderr:?}" "aether: $A has no snapshot"
}

@test "a version that is ahead is refused, and both are named" {
	snapshot save "$A" --version 4 '{}'
	assert_failure 1
	assert_equal "${stderr:?}" "aether: version 4 is ahead of $A, which is at version 3"
	snapshot show "$A"
	assert_failure 1
}

@test "what is no snapshot is refused before it is written" {
	for bad in '{"n":1}' '{"version":1}' '{"version":0,"state":{}}' '{"version":1,"state":3}' '{"version":1,"state":{},"x":1}' \
		'{"version":1,"state":{},"actorId":"other"}' '{"version":1,"state":{},"timestamp":"today"}' '{"version":1'; do
		snapshot save "$A" "$bad"
		assert_failure 1
		[[ ${stderr:?} == 'aether: not a snapshot'* ]] || fail "$bad: $stderr"
	done
	snapshot save "$A" --version 1 '{"n":01}'
	[[ ${stderr:?} == 'aether: the state is not a JSON object'* ]]
}

@test "an actor without events has no state to save" {
	touch "$A-empty"
	snapshot save "$A-empty"
	assert_failure 1
	assert_equal "${stderr:?}" "aether: $A-empty has no events, so no state to save"
}

@test "what is not an actor is named" {
	for path in "$N/missing" "$N" "$D/plain" "$M/none/x"; do
		snapshot show "$path"
		assert_failure 1
		[[ ${stderr:?} == *"$path"* ]] || fail "$stderr"
		snapshot save "$path"
		assert_failure 1
	done
	[[ ! -e $N/missing ]]
}

@test "a state that is too large is named as such" {
	{ printf '{"x":"'; head -c 3000000 /dev/zero | tr '\0' x; printf '"}'; } >"$D/large"
	snapshot save "$A" --version 3 "$D/large"
	assert_failure 1
	assert_equal "${stderr:?}" "aether: $A: the snapshot is larger than the server allows"
}

@test "while others append, the state that is saved is that of its version" {
	: >"$D/counting"
	(for i in $(seq 200); do echo "{\"n\":$i}" >>"$A-n" && [[ -e $D/counting ]] || break; done) 3>&- 4>&- &
	wait_for 20 test -s "$A-n"
	for _ in 1 2 3 4 5; do
		"$AETHER" snapshot save "$A-n"
		run jq -e '.version == .state.n' <("$AETHER" snapshot show "$A-n")
		assert_success
	done
	rm "$D/counting"
	wait
}
