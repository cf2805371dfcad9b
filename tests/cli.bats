#!/usr/bin/env bats
# The command line: options, exit codes, what is printed where.

load helper

# usage_error WORD COMMAND...: exit code 2, and the message on standard error names the word.
usage_error() {
	local stderr=
	run --separate-stderr "$AETHER" "${@:2}"
	[[ $status -eq 2 ]] || fail "exit code $status: $stderr"
	[[ $stderr == *"$1"* ]] || fail "does not name $1: $stderr"
	assert_output ''
}

@test "version prints the version" {
	run "$AETHER" version
	assert_success
	assert_output --regexp '[0-9]+\.[0-9]+\.[0-9]+'
}

@test "no command is a usage error" {
	run "$AETHER"
	assert_failure 2
}

@test "an unknown command is named" { usage_error frobnicate frobnicate; }
@test "--help succeeds" {
	run "$AETHER" --help
	assert_success
	for command in mount umount append replay snapshot import export status version; do
		assert_output --partial "$command"
	done
}
@test "every command has --help" {
	for command in mount umount append replay snapshot import export status; do
		run "$AETHER" "$command" --help
		assert_success
		assert_output --partial "aether $command"
	done
}

@test "mount without a mountpoint" { usage_error MOUNTPOINT mount; }
@test "mount: an unknown option" { usage_error --frobnicate mount "$D" --frobnicate; }
@test "mount: an unknown -o option" { usage_error frobnicate mount "$D" -o ro,frobnicate=3; }
@test "mount: an unknown letter" { usage_error -q mount "$D" -q; }
@test "mount: two mountpoints" { usage_error "$D/two" mount "$D" "$D/two"; }
@test "mount: a bad timeout" {
	for value in 0 -1 x 1e3 5s 999999999999999999999; do usage_error timeout mount "$D" -o "timeout=$value"; done
}
@test "mount: a bad store" { usage_error --store mount "$D" --store postgres; }
@test "mount: bad replicas" { usage_error --replicas mount "$D" --nats nats://127.0.0.1 --replicas 2; }
@test "mount: a bad consistency" { usage_error consistency mount "$D" -o consistency=sometimes; }
@test "mount: a bad prefix" { usage_error prefix mount "$D" -o prefix=a.b; }
@test "mount: a bad cache_size" { usage_error cache_size mount "$D" -o cache_size=lots; }
@test "mount: an option without its value" { usage_error --nats mount "$D" --nats; }
@test "mount: a value for an option that has none" { usage_error ro mount "$D" -o ro=yes; }
@test "append: an unknown option" { usage_error --frobnicate append "$N/x" --frobnicate; }
@test "append: a bad version" { usage_error --version append "$N/x" --version zero '{}'; }
@test "append with nothing to append" { usage_error JSON append "$N/x"; }
@test "append without a path" { usage_error PATH append; }
@test "replay: an unknown option" { usage_error --frobnicate replay "$N/x" --frobnicate; }
@test "replay: a bad range" { usage_error --from replay "$N/x" --from -3; }
@test "replay: a range that ends before it begins" { usage_error --to replay "$N/x" --from 3 --to 2; }
@test "import without a file" { usage_error FILE import "$N/x"; }
@test "export without a path" { usage_error PATH export; }
@test "import: an unknown option" { usage_error --frobnicate import "$N/x" "$D/x" --frobnicate; }
@test "export: too many arguments" { usage_error third export "$N/x" "$D/x" third; }
@test "export of a namespace to standard output" { usage_error directory export "$N" -; }
@test "snapshot: neither save nor show" { usage_error restore snapshot restore "$N/x"; }
@test "snapshot save: a version without a state" { usage_error --version snapshot save "$N/x" --version 3; }
@test "snapshot show takes no state" { usage_error '{}' snapshot show "$N/x" '{}'; }
@test "umount without a mountpoint" { usage_error MOUNTPOINT umount; }

@test "a message never shows a secret" {
	run "$AETHER" mount "$D" --nats nats://user:s3cret@127.0.0.1:1 -o frobnicate
	assert_failure 2
	refute_output --partial s3cret
	mkdir -p "$D/nowhere"
	run "$AETHER" mount "$D/nowhere" --nats nats://user:s3cret@127.0.0.1:1 -o "timeout=1,log=$D/nowhere.log"
	assert_failure 1
	refute_output --partial s3cret
	run cat "$D/nowhere.log"
	refute_output --partial s3cret
}

@test "mount of a place that does not exist fails and names it" {
	run "$AETHER" mount "$D/missing" --state-dir "$D/state"
	assert_failure 1
	assert_output --partial "$D/missing"
}

@test "mount on a mountpoint of Aether fails and says so" {
	run "$AETHER" mount "$M" --state-dir "$D/state"
	assert_failure 1
	assert_output --partial "$M"
	assert_equal "$(grep -cF " $M " /proc/self/mountinfo)" 1
}

@test "mount without a server in reach fails with the reason and the log's place" {
	mkdir -p "$D/unreached"
	run timeout 30 "$AETHER" mount "$D/unreached" --nats nats://127.0.0.1:1 -o "timeout=1,log=$D/unreached.log"
	assert_failure 1
	assert_output --partial 'cannot connect to NATS'
	assert_output --partial "$D/unreached.log"
	run mounted "$D/unreached"
	assert_failure
}

@test "mount returns once the mount answers, umount once the daemon has ended" {
	mkdir "$D/plain"
	run timeout 30 "$AETHER" mount "$D/plain" --state-dir "$D/state" -o "log=$D/plain.log" 3>&-
	assert_success
	cat "$D/plain/.aether/version"
	run "$AETHER" umount "$D/plain"
	assert_success
	run mounted "$D/plain"
	assert_failure
	assert_equal "$(processes "mount $D/plain")" ''
}

@test "umount of what is not mounted fails and names it" {
	run "$AETHER" umount "$D"
	assert_failure 1
	assert_output --partial "$D"
}

@test "umount of what is in use fails and leaves it whole" {
	mount_start -n busy
	exec 7<"$D/busy/.aether/version"
	run timeout 20 "$AETHER" umount "$D/busy"
	assert_failure 1
	[[ -e $D/busy/.aether/version ]]
	exec 7<&-
	mount_stop busy
}

@test "append prints the version" {
	run "$AETHER" append "$A" '{"eventType":"T"}'
	assert_output 1
	run "$AETHER" append "$A" '{"data":1}'
	assert_output 2
	assert_equal "$(events "$A" .eventType | xargs)" 'T Event'
}

@test "append --type names the event's type" {
	run "$AETHER" append "$A" --type Shipped '{"by":"truck"}'
	assert_success
	assert_equal "$(events "$A" '.eventType, .data.by' | xargs)" 'Shipped truck'
}

@test "append reads standard input" {
	run "$AETHER" append "$A" - <<<'{"eventType":"FromInput"}'
	assert_success
	assert_output 1
	run "$AETHER" append "$A" - < <(seq 1000)
	assert_output 1001
	assert_equal "$(events "$A" .eventType | uniq -c | xargs)" '1 FromInput 1000 Text'
}

@test "append with a type alone has empty data" {
	run "$AETHER" append "$A" --type Started
	assert_output 1
	assert_equal "$(events "$A" '.eventType, (.data | tojson)' | xargs)" 'Started {}'
}

@test "append of bad input exits 1 and says why" {
	run "$AETHER" append "$A" '{"eventType":'
	assert_failure 1
	assert_output --partial malformed
	[[ ! -e $A || $(version_of "$A") == 0 ]]
}

@test "append outside of a mount exits 1" {
	run "$AETHER" append "$D/plainfile" '{}'
	assert_failure 1
	[[ ! -s $D/plainfile ]]
}

@test "a conflict exits 3 and prints no version" {
	run "$AETHER" append "$A" --version 5 '{}'
	assert_output 5
	run --separate-stderr "$AETHER" append "$A" --version 5 '{"other":1}'
	assert_failure 3
	assert_output ''
}

@test "a conflict says current and attempted, of one event and of lines" {
	seq 3 >>"$A"
	run "$AETHER" append "$A" --version 2 '{}'
	assert_failure 3
	assert_output "aether: version conflict: $A is at version 3, attempted 2"
	run --separate-stderr "$AETHER" append "$A" --version 3 - <<<$'a\nb'
	assert_failure 3
	assert_equal "${stderr:?}" "aether: version conflict: $A is at version 3, attempted 3"
	assert_output ''
	assert_versions_1_to 3 "$A"
}

@test "append --version to a new actor, and behind a gap" {
	run "$AETHER" append "$A" --version 4 - <<<$'a\nb'
	assert_output 5
	run "$AETHER" append "$A" --version 9 --type T
	assert_output 9
	assert_equal "$(jq .version "$A" | xargs)" '4 5 9'
}

@test "replay prints the actor's events" {
	seq 20 >>"$A"
	run "$AETHER" replay "$A"
	assert_success
	assert_output "$(cat "$A")"
}

@test "replay --from and --to" {
	seq 20 >>"$A"
	echo '{"eventType":"T","version":30}' >>"$A"
	assert_equal "$("$AETHER" replay "$A" --from 5 --to 7 | jq .version | xargs)" '5 6 7'
	assert_equal "$("$AETHER" replay "$A" --from 20 | jq .version | xargs)" '20 30'
	assert_equal "$("$AETHER" replay "$A" --to 2 | jq .version | xargs)" '1 2'
	assert_equal "$("$AETHER" replay "$A" --from 21 --to 29)" ''
}

@test "replay --to a version above the latest ends at the end" {
	seq 3 >>"$A"
	assert_equal "$("$AETHER" replay "$A" --from 2 --to 99 | jq .version | xargs)" '2 3'
	touch "$A-empty"
	run "$AETHER" replay "$A-empty" --to 5
	assert_success
	assert_output ''
}

@test "replay --follow --to ends after that version, also if it comes later or is passed over" {
	seq 3 >>"$A"
	timeout 20 "$AETHER" replay "$A" --follow --to 3 >"$D/to.3"
	assert_equal "$(jq .version "$D/to.3" | xargs)" '1 2 3'
	for to in 4 6; do timeout 60 "$AETHER" replay "$A" --follow --from 3 --to "$to" >"$D/to.$to" 3>&- & done
	wait_for 20 test -s "$D/to.4" -a -s "$D/to.6"
	seq 2 >>"$A"
	echo '{"eventType":"T","version":7}' >>"$A"
	wait
	assert_equal "$(jq .version "$D/to.4" | xargs) / $(jq .version "$D/to.6" | xargs)" '3 4 / 3 4 5'
}

@test "replay of what does not exist exits 1" {
	run "$AETHER" replay "$N/missing"
	assert_failure 1
	assert_output --partial "$N/missing"
}

@test "status of a mount" {
	run "$AETHER" status "$M"
	assert_success
	assert_output --partial "$M"
}

@test "status --json is JSON" {
	run bash -c '"$AETHER" status --json "$M" | jq -e type'
	assert_success
}

@test "no secret is on the process list" {
	secrets="$(grep -rhoE 'password"?: *"?[A-Za-z0-9_-]{8,}' "$D/state/"*.conf "$D/state/"*.json | grep -oE '[A-Za-z0-9_-]+$' | sort -u)"
	[[ -n $secrets ]]
	run grep -slaF "$secrets" /proc/[0-9]*/cmdline
	assert_output ''
	run grep -F "$secrets" "$M.log" "$M/.aether/status"
	assert_failure
}

@test "nobody else can read the state directory" {
	assert_equal "$(stat -c %a "$D/state")" 700
	assert_equal "$(find "$D/state" -maxdepth 1 -type f -perm /077)" ''
}

@test "the private server listens on the loopback only, and wants credentials" {
	pid="$(processes "nats-server.*$D/state" | head -n 1)"
	listening="$(ss -Hltnp 2>/dev/null | grep "pid=$pid," | awk '{ print $4 }')"
	[[ -n $listening ]]
	assert_equal "$(grep -v '^127.0.0.1:' <<<"$listening")" ''
	mkdir -p "$D/intruder"
	run timeout 30 "$AETHER" mount "$D/intruder" --nats "nats://$(head -n 1 <<<"$listening")" -o "timeout=1,log=$D/intruder.log"
	assert_failure 1
}

@test "credentials in the URL and a prefix of one's own reach a server, and the password is not shown" {
	NATS_CONF='authorization { user: me, password: "pass-w0rd" }' nats_start
	mount_start -n own --nats "nats://me:pass-w0rd@127.0.0.1:$(cat "$D/nats/port")" -o prefix=mine
	mkdir "$D/own/t"
	echo x >>"$D/own/t/a"
	assert_equal "$(events "$D/own/t/a")" x
	run grep -F pass-w0rd "$D/own.log" "$D/own/.aether/status" /proc/self/mountinfo "/proc/$(cat "$D/own.pid")/cmdline"
	assert_output ''
	mount_stop own
}
