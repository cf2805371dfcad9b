#!/usr/bin/env bats
# Expected versions, conflicts, and ids that make a retry harmless.

load helper

event() {
	printf '{"eventType":"T"%s}\n' "${1:+,$1}"
}

append() {
	assert_errno OK append "$A" "$(event "$1")"$'\n'
}

@test "without a version an event takes the next one" {
	for _ in 1 2 3; do append ''; done
	assert_versions_1_to 3 "$A"
}

@test "an explicit version that is greater is taken" {
	append '"version":1'
	append '"version":2'
	assert_versions_1_to 2 "$A"
}

@test "gaps are allowed, and the next one follows the gap" {
	append '"version":10'
	append ''
	append '"version":100'
	assert_equal "$(events "$A" .version)" $'10\n11\n100'
	assert_equal "$(version_of "$A")" 100
}

@test "a version that is taken or older is ESTALE" {
	append '"version":5'
	assert_refused ESTALE "$A" "$(event '"version":5')"$'\n'
	assert_refused ESTALE "$A" "$(event '"version":4')"$'\n'
	assert_refused ESTALE "$A" "$(event '"version":1')"$'\n'
}

@test "versions in one write must rise" {
	assert_refused ESTALE "$A" "$(event '"version":9')"$'\n'"$(event '"version":8')"$'\n'
	assert_refused ESTALE "$A" "$(event '"version":9')"$'\n'"$(event '"version":9')"$'\n'
	assert_errno OK append "$A" "$(event '"version":9')"$'\n'"$(event)"$'\n'"$(event '"version":20')"$'\n'
	assert_equal "$(events "$A" .version)" $'1\n9\n10\n20'
}

@test "a conflict inside a write refuses all of it" {
	append '"version":5'
	assert_refused ESTALE "$A" $'good\n'"$(event '"version":6')"$'\n'
}

@test "a conflict is described in the mount's conflicts" {
	append '"version":5'
	assert_errno ESTALE append "$A" "$(event '"version":3,"id":"late"')"$'\n'
	run jq -c 'select(.id == "late" and .actorId == "'"${A##*/}"'") | [.namespace, .currentVersion, .attemptedVersion]' "$M/.aether/conflicts"
	assert_output '["t",5,3]'
}

@test "a conflict is described in the namespace's conflicts" {
	append '"version":7'
	assert_errno ESTALE append "$A" "$(event '"version":7')"$'\n'
	run jq -c 'select(.actorId == "'"${A##*/}"'") | [.currentVersion, .attemptedVersion]' "$N/.aether/conflicts"
	assert_output '[7,7]'
}

@test "the newest conflict stands last" {
	append '"version":7'
	assert_errno ESTALE append "$A" "$(event '"version":1')"$'\n'
	assert_errno ESTALE append "$A" "$(event '"version":2')"$'\n'
	run jq -s -c '[.[-2:][].attemptedVersion]' "$M/.aether/conflicts"
	assert_output '[1,2]'
}

@test "a conflict is described in the actor's xattr" {
	append '"version":5'
	assert_errno ENODATA getxattr "$A" user.aether.conflict
	assert_errno ESTALE append "$A" "$(event '"version":2')"$'\n'
	run jq -c '[.actorId, .currentVersion, .attemptedVersion]' < <(getfattr --only-values --absolute-names -n user.aether.conflict "$A")
	assert_output '["'"${A##*/}"'",5,2]'
}

@test "a conflict is described in the log" {
	append '"version":5'
	assert_errno ESTALE append "$A" "$(event '"version":2')"$'\n'
	run grep -F "${A##*/}" "$M.log"
	assert_output --regexp 'version conflict'
	assert_output --regexp '\b5\b.*\b2\b|\b2\b.*\b5\b'
}

@test "aether append --version says current and attempted and exits 3" {
	append '"version":5'
	run "$AETHER" append "$A" --version 4 '{"a":1}'
	assert_failure 3
	assert_output --regexp 'version conflict'
	assert_output --regexp '\b5\b'
	assert_output --regexp '\b4\b'
	assert_equal "$(version_of "$A")" 5
}

@test "aether append --version prints the version that was stored" {
	run "$AETHER" append "$A" --version 12 --type Priced '{"a":1.10}'
	assert_success
	assert_output 12
	assert_equal "$(events "$A" .eventType) $(grep -o '"data".*' "$A")" 'Priced "data":{"a":1.10}}'
}

@test "the same id with the same content is a success and adds nothing" {
	append '"id":"x1","data":{"a":1}'
	before="$(fingerprint "$A")"
	append '"id":"x1","data":{"a":1}'
	append '"id":"x1","data":{ "a" : 1 }'
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "the same id with other content is EEXIST" {
	append '"id":"x1","data":{"a":1}'
	assert_refused EEXIST "$A" "$(event '"id":"x1","data":{"a":2}')"$'\n'
	assert_refused EEXIST "$A" '{"eventType":"Other","id":"x1","data":{"a":1}}'$'\n'
	assert_refused EEXIST "$A" "$(event '"id":"x1","data":{"a":1},"metadata":{"k":"v"}')"$'\n'
}

@test "a repeated id is found when other events came after it" {
	append '"id":"x1"'
	seq 100 >>"$A"
	before="$(fingerprint "$A")"
	append '"id":"x1"'
	assert_equal "$(fingerprint "$A")" "$before"
	assert_refused EEXIST "$A" "$(event '"id":"x1","data":{"b":1}')"$'\n'
}

@test "the same id in two actors is two events" {
	append '"id":"shared"'
	assert_errno OK append "$A-2" "$(event '"id":"shared"')"$'\n'
	assert_equal "$(version_of "$A") $(version_of "$A-2")" '1 1'
}

@test "the same id in two namespaces is two events" {
	mkdir -p "$M/t2"
	append '"id":"shared"'
	assert_errno OK append "$M/t2/${A##*/}" "$(event '"id":"shared"')"$'\n'
	assert_equal "$(version_of "$A") $(version_of "$M/t2/${A##*/}")" '1 1'
}

@test "a write that is repeated whole adds nothing" {
	batch="$(event '"id":"b1"')"$'\n'"$(event '"id":"b2"')"$'\n'"$(event '"id":"b3"')"$'\n'
	assert_errno OK append "$A" "$batch"
	before="$(fingerprint "$A")"
	assert_errno OK append "$A" "$batch"
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "an id from inside an earlier write is found" {
	assert_errno OK append "$A" "$(event '"id":"b1"')"$'\n'"$(event '"id":"b2","data":{"n":2}')"$'\n'
	before="$(fingerprint "$A")"
	append '"id":"b2","data":{"n":2}'
	assert_equal "$(fingerprint "$A")" "$before"
	assert_refused EEXIST "$A" "$(event '"id":"b2","data":{"n":3}')"$'\n'
}

@test "an old explicit version with the same id and content is a success" {
	append '"id":"v3","version":3'
	append '"id":"v9","version":9'
	before="$(fingerprint "$A")"
	append '"id":"v3","version":3'
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "an old explicit version with the same id and other content is EEXIST" {
	append '"id":"v3","version":3'
	append '"id":"v9","version":9'
	assert_refused EEXIST "$A" "$(event '"id":"v3","version":3,"data":{"x":1}')"$'\n'
}

@test "an old explicit version with another id is ESTALE" {
	append '"id":"v3","version":3'
	assert_refused ESTALE "$A" "$(event '"id":"v4","version":3')"$'\n'
}

@test "a retry with an explicit version succeeds after a remount" {
	append '"id":"r1","version":4'
	append '"id":"r2","version":6'
	before="$(fingerprint "$A")"
	mount_stop
	mount_start
	append '"id":"r1","version":4'
	assert_equal "$(fingerprint "$A")" "$before"
	assert_refused ESTALE "$A" "$(event '"id":"r3","version":4')"$'\n'
}

@test "a retry without a version succeeds after a remount" {
	append '"id":"q1"'
	before="$(fingerprint "$A")"
	mount_stop
	mount_start
	append '"id":"q1"'
	assert_equal "$(fingerprint "$A")" "$before"
}

@test "of many writers with the same expected version one wins" {
	append '"version":1'
	for i in $(seq 20); do
		"$ERRNO_DO" append "$A" "$(event '"version":2,"id":"w'"$i"'"')"$'\n' >"$D/writer.$i" 3>&- &
	done
	wait
	assert_equal "$(cat "$D"/writer.* | sort | uniq -c | xargs)" '19 ESTALE 1 OK'
	assert_versions_1_to 2 "$A"
}

@test "an id stored inside a batch is EEXIST under another version, also a later one" {
	assert_errno OK append "$A" $'one\n{"eventType":"T","id":"in"}\nthree\n'
	assert_errno EEXIST append "$A" $'{"eventType":"T","id":"in","version":9}\n'
	assert_errno OK append "$A" $'{"eventType":"T","id":"in","version":2}\n'
	assert_equal "$(version_of "$A")" 3
}
