#!/usr/bin/env bats
# Snapshots that are saved, the folded state, and the snapshots that the nodes take of it by themselves.

load helper
load live
load nodes

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=3,delete,snapshot_every=20
	mount_start -n other --nats "$NATS_URL" -o timeout=3,snapshot_every=20
	mkdir "$N"
}

setup() {
	nats_back
	A="$N/a$BATS_TEST_NUMBER"
	C="$N/.aether/actors/a$BATS_TEST_NUMBER"
	OC="$D/other/t/.aether/actors/a$BATS_TEST_NUMBER"
}

teardown_file() {
	stop_all
}

# more COUNT: so many events more, each of which counts n up to its own version.
more() {
	local from
	from="$(version_of "$A" 2>/dev/null || echo 0)"
	seq -f '{"n":%.0f}' "$((from + 1))" "$((from + $1))" >>"$A"
}

snapshot_is() {
	[[ $(jq -c '[.version, .state]' "$C/snapshot") == "$1" ]]
}

# Messages in the stream of snapshots with that subject.
kept() {
	ask "\$JS.API.STREAM.INFO.aether_snapshots" "{\"subjects_filter\":\"aether.$1.t.a$BATS_TEST_NUMBER\"}" |
		jq ".state.subjects[\"aether.$1.t.a$BATS_TEST_NUMBER\"] // 0"
}

@test "a snapshot is saved, and read again, on any node" {
	more 3
	assert_equal "$(cat "$C/snapshot")" ''
	echo '{"actorId":"a1","version":2,"state":{"mine":[1,2]},"timestamp":"2026-11-27T08:00:00Z"}' >"$C/snapshot"
	assert_equal "$(cat "$C/snapshot")" '{"actorId":"a1","version":2,"state":{"mine":[1,2]},"timestamp":"2026-11-27T08:00:00Z"}'
	cmp "$C/snapshot" "$OC/snapshot"
	assert_equal "$(cat "$C/state")" '{"n":3}'
}

@test "what is left out is filled in, numbers keep their text, and the state may be any JSON" {
	more 1
	echo '{"version":1,"state":[9007199254740993, 1.10, 1e400, {"a": null}]}' >"$C/snapshot"
	assert_regex "$(cat "$C/snapshot")" '^\{"actorId":"a2","version":1,"state":\[9007199254740993,1.10,1e400,\{"a":null\}\],"timestamp":"20[0-9-]*T[0-9:.]*Z"\}$'
}

@test "it may have several lines, and come by cp and by a pipe" {
	more 2
	jq -n '{version: 2, state: {text: ("long" * 50000)}}' >"$D/snapshot"
	cp "$D/snapshot" "$C/snapshot"
	assert_equal "$(jq -c .state.text "$C/snapshot" | wc -c)" 200003
	echo '{"version":1,"state":1}' >"$C/snapshot"
	cat "$D/snapshot" >>"$C/snapshot"
	assert_equal "$(jq .version "$C/snapshot")" 2
}

@test "what is no snapshot is EINVAL, the reason is in the log, and nothing is saved" {
	more 2
	echo '{"version":1,"state":{}}' >"$C/snapshot"
	cp "$C/snapshot" "$D/copy"
	for text in 'text' '[1]' '{"version":3,"state":{}}' '{"version":0,"state":{}}' '{"version":-1,"state":{}}' '{"version":1.0,"state":{}}' \
		'{"version":"1","state":{}}' '{"version":1}' '{"state":{}}' '{"version":1,"state":{},"more":1}' '{"version":1,"version":1,"state":{}}' \
		'{"version":1,"state":{}}{}' '{"version":1,"state":{}} x' '{"version":1,"state":' '{"version":1,"state":01}' '{"version":1,"state":{}]' \
		'{"version":1,"state":{},"actorId":"other"}' '{"version":1,"state":{},"timestamp":"today"}' '{"version":99999999999999999999,"state":1}'; do
		assert_errno EINVAL write "$C/snapshot" WRONLY,TRUNC "$text"$'\n'
	done
	assert_errno EILSEQ write "$C/snapshot" WRONLY,TRUNC $'{"version":1,"state":"\xff"}\n'
	cmp "$C/snapshot" "$D/copy"
	grep -q "a4: a snapshot was not saved: its version is ahead of the actor's" "$M.log"
}

@test "one that ends too early is refused when it is closed" {
	more 1
	printf '{"version":1,"state":' >"$D/half"
	run cp "$D/half" "$C/snapshot"
	assert_failure
	assert_output --partial 'Invalid argument'
	assert_equal "$(cat "$C/snapshot")" ''
	: >"$C/snapshot"
	printf '\n \n' >"$C/snapshot"
	assert_equal "$(cat "$C/snapshot")" ''
}

@test "one that is larger than a message is EMSGSIZE" {
	more 1
	jq -n '{version: 1, state: ("x" * 1050000)}' >"$D/large"
	run cp "$D/large" "$C/snapshot"
	assert_failure
	assert_output --partial 'Message too long'
	assert_equal "$(cat "$C/snapshot")" ''
}

@test "the last three are kept" {
	more 1
	for i in {1..5}; do echo "{\"version\":1,\"state\":$i}" >"$C/snapshot"; done
	assert_equal "$(jq .state "$C/snapshot")" 5
	assert_equal "$(kept snapshot)" 3
}

@test "snapshots survive a restart of everything" {
	more 3
	echo '{"version":3,"state":"kept"}' >"$C/snapshot"
	mount_stop
	nats_kill
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=3,delete,snapshot_every=20
	assert_equal "$(jq .state "$C/snapshot")" '"kept"'
	mount_stop other
	mount_start -n other --nats "$NATS_URL" -o timeout=3,snapshot_every=20
}

@test "the state is the data of all events merged in order" {
	echo '{"total":100.00,"customer":{"name":"Ada","vip":true},"lines":[1,2]}' >>"$A"
	echo '{"eventType":"Paid","data":{"total":null,"customer":{"vip":null,"id":9007199254740993},"lines":[3]}}' >>"$A"
	echo 'a text' >>"$A"
	assert_equal "$(cat "$C/state")" '{"customer":{"name":"Ada","id":9007199254740993},"lines":[3],"text":"a text"}'
	cmp "$C/state" "$OC/state"
	touch "$A-empty"
	assert_equal "$(cat "$C-empty/state")" '{}'
}

# has_taken MOUNT COUNT: a snapshot counts when it is acknowledged, which may be after it can be seen.
has_taken() {
	(($(jq .snapshotsTaken "$D/$1/.aether/status") == $2))
}

# owners_are MOUNT...: these own all shards, as each of them sees it, and nobody else, as who has just ended may for a while.
owners_are() {
	local side
	for side in "$@"; do
		settled "$side" $# && diff <(cluster_of "$side" shards | awk '{ print $2 }' | sort -u) \
			<(for m in "$@"; do jq -r .nodeId "$D/$m/.aether/status"; done | sort) || return 1
	done
}

# Before there are others that would be counted.
@test "the owner of the actor's shard takes them, whoever appends" {
	local side owner
	wait_for 60 owners_are mnt other
	more 20
	wait_for 30 snapshot_is '[20,{"n":20}]'
	seq -f '{"n":%.0f}' 21 40 >>"$D/other/t/a$BATS_TEST_NUMBER"
	wait_for 30 snapshot_is '[40,{"n":40}]'
	for side in mnt other; do
		[[ $(jq -r .nodeId "$D/$side/.aether/status") != "$(cat "$C/owner")" ]] || owner="$side"
	done
	wait_for 10 has_taken "$owner" 2
}

# For some seconds nobody knows that it is dead, and it still counts as the owner.
@test "where the owner has just died, who appends takes them" {
	local gone
	mount_start -n gone --nats "$NATS_URL" -o snapshot_every=20
	gone="$(jq -r .nodeId "$D/gone/.aether/status")"
	wait_for 60 owners_are mnt other gone
	touch "$A-"{1..60}
	for C in "$C-"{1..60}; do
		[[ $(cat "$C/owner") != "$gone" ]] || break
	done
	mount_kill gone
	seq -f '{"n":%.0f}' 20 >>"$N/${C##*/}"
	wait_for 30 snapshot_is '[20,{"n":20}]'
	umount -l "$D/gone"
}

@test "snapshots of the state are taken each so many events, by the owner, and the state goes on from them" {
	more 19
	assert_equal "$(cat "$C/snapshot")" ''
	more 1
	wait_for 30 snapshot_is '[20,{"n":20}]'
	seq -f '{"m":%.0f}' 45 >>"$D/other/t/a$BATS_TEST_NUMBER"
	wait_for 30 snapshot_is '[65,{"n":20,"m":45}]'
	assert_equal "$(cat "$C/state")" '{"n":20,"m":45}'
	cmp "$C/state" "$OC/state"
}

@test "what somebody saved is not the state's, nor is it hidden by what the nodes take" {
	more 2
	echo '{"version":2,"state":{"wrong":true}}' >"$C/snapshot"
	assert_equal "$(cat "$C/state")" '{"n":2}'
	more 30
	wait_for 30 eval '[[ $(kept state) == 1 ]]'
	snapshot_is '[2,{"wrong":true}]'
	assert_equal "$(cat "$OC/state")" '{"n":32}'
}

@test "erasing an actor takes its snapshots away, and it begins anew" {
	more 25
	wait_for 30 snapshot_is '[25,{"n":25}]'
	echo '{"version":25,"state":"mine"}' >"$C/snapshot"
	rm "$A"
	assert_equal "$(kept state)$(kept snapshot)" 00
	echo '{"again":1}' >>"$A"
	assert_equal "$(cat "$C/snapshot")" ''
	assert_equal "$(cat "$C/state")" '{"again":1}'
}

@test "a snapshot that another life of the actor left behind counts for nothing" {
	more 25
	wait_for 30 eval '[[ $(kept state) == 1 ]]'
	local left
	left="$(ask "\$JS.API.STREAM.MSG.GET.aether_snapshots" "{\"last_by_subj\":\"aether.state.t.a$BATS_TEST_NUMBER\"}" | jq -r .message.data | base64 -d)"
	rm "$A"
	more 2
	ask "aether.state.t.a$BATS_TEST_NUMBER" "$left" | jq -e .seq
	assert_equal "$(cat "$C/state")" '{"n":2}'
	assert_equal "$(cat "$C/snapshot")" ''
}

@test "one of another chain, or none at all, is not built upon" {
	more 5
	local head="1 5 5 10 0000000000000001 1 0"
	ask "aether.state.t.a$BATS_TEST_NUMBER" '{"actorId":"x","version":5,"state":{"wrong":1},"timestamp":"2026-11-27T08:00:00Z"}'$'\n'"$head"$'\n' | jq -e .seq
	assert_equal "$(cat "$C/state")" '{"n":5}'
	ask "aether.state.t.a$BATS_TEST_NUMBER" 'rubbish' | jq -e .seq
	assert_equal "$(cat "$C/state")" '{"n":5}'
}

@test "who may not append may not save one" {
	mkdir -m 755 "$M/closed"
	echo 1 >>"$M/closed/a"
	assert_equal "$(stat -c '%a %U' "$M/closed/.aether/actors/a/snapshot")" "$(stat -c '%a %U' "$M/closed/a")"
	assert_errno EPERM chmod "$M/closed/.aether/actors/a/snapshot" 666
	assert_errno EPERM append "$M/closed/.aether/actors/a/state" $'{}\n'
	assert_errno ENOENT stat "$M/closed/.aether/actors/nobody/snapshot"
}

@test "without NATS saving and reading fail with ETIMEDOUT" {
	more 1
	nats_kill
	assert_errno ETIMEDOUT write "$C/snapshot" WRONLY,TRUNC $'{"version":1,"state":1}\n'
	assert_errno ETIMEDOUT read "$C/state"
}
