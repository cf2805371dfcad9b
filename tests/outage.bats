#!/usr/bin/env bats
# NATS goes away and comes back; the daemon or the private server dies.

load helper

TIMEOUT=2
PATIENCE=60

# A mount for what shall fail in time, and one for what shall not have to wait, or shall succeed in the end.
setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	mount_start -n patient --nats "$NATS_URL" -o "timeout=$PATIENCE"
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	W="$D/patient/t/a$BATS_TEST_NUMBER"
	P="private$BATS_TEST_NUMBER"
	nats_back
}

# lasts_about_timeout COMMAND...: takes TIMEOUT, and not several times that; a busy machine may be some seconds late.
lasts_about_timeout() {
	local start=${EPOCHREALTIME/./} took_ms
	"$@"
	took_ms=$(((${EPOCHREALTIME/./} - start) / 1000))
	echo "took $took_ms ms"
	((took_ms >= TIMEOUT * 900 && took_ms <= TIMEOUT * 1000 + 8000))
}

# before_timeout COMMAND...: on the patient mount, does not wait for NATS.
before_timeout() {
	local start=${EPOCHREALTIME/./} took_ms
	"$@"
	took_ms=$(((${EPOCHREALTIME/./} - start) / 1000))
	echo "took $took_ms ms"
	((took_ms < PATIENCE * 1000))
}

@test "without NATS an append fails with ETIMEDOUT after the timeout" {
	echo before >>"$A"
	nats_kill
	lasts_about_timeout assert_errno ETIMEDOUT append "$A" $'lost\n'
	nats_start
	wait_for 60 "$ERRNO_DO" append "$A" $'after\n'
	assert_equal "$(events "$A" | grep -v lost | xargs)" 'before after'
}

@test "without NATS an append through a handle that is open fails with ETIMEDOUT" {
	exec 7>>"$A"
	echo before >&7
	nats_kill
	lasts_about_timeout run bash -c 'echo during >&7'
	assert_output --partial 'timed out'
	exec 7>&-
}

@test "without NATS an open fails with ETIMEDOUT, for it could show something old" {
	echo before >>"$A"
	cat "$A" >/dev/null
	nats_kill
	lasts_about_timeout assert_errno ETIMEDOUT open "$A" RDONLY
}

@test "without NATS mkdir and the version file fail with ETIMEDOUT" {
	echo before >>"$A"
	nats_kill
	lasts_about_timeout assert_errno ETIMEDOUT mkdir "$M/new"
	lasts_about_timeout assert_errno ETIMEDOUT read "$N/.aether/actors/${A##*/}/version"
}

@test "without NATS a handle that is open goes on reading" {
	seq 100 >>"$A"
	cat "$W" >"$D/copy"
	kill_server="kill -9 $(cat "$D/nats/pid"); rm '$D/nats/pid'"
	before_timeout assert_errno OK held-read "$W" "$kill_server"
	cmp "$D/errno-do.err" <(tail -c +2 "$D/copy")
}

@test "without NATS the status says so, at once" {
	nats_kill
	before_timeout wait_for 30 jq -e '.nats.connected == false' "$D/patient/.aether/status"
	nats_start
	wait_for 60 jq -e .nats.connected "$D/patient/.aether/status"
}

@test "several appends wait at the same time, not one after the other" {
	for i in {1..10}; do echo before >>"$A-$i"; done
	nats_kill
	for i in {1..10}; do
		"$ERRNO_DO" append "$A-$i" $'x\n' >"$D/wait.$i" 3>&- &
	done
	lasts_about_timeout wait
	assert_equal "$(sort "$D"/wait.* | uniq -c | xargs)" '10 ETIMEDOUT'
}

@test "an append that waits succeeds when NATS returns in time" {
	echo before >>"$W"
	nats_kill
	"$ERRNO_DO" append "$W" $'during\n' >"$D/waited" 3>&- &
	nats_start
	wait
	assert_equal "$(cat "$D/waited")" OK
	assert_equal "$(events "$W" | xargs)" 'before during'
}

@test "with consistency=eventual an open serves what is known" {
	mount_start -n eventual --nats "$NATS_URL" -o "timeout=$PATIENCE,consistency=eventual"
	seq 10 >>"$D/eventual/t/${A##*/}"
	cat "$D/eventual/t/${A##*/}" >"$D/copy"
	nats_kill
	before_timeout cmp "$D/eventual/t/${A##*/}" "$D/copy"
	nats_start
	mount_stop eventual
}

@test "after a longer absence the mount is whole by itself" {
	echo before >>"$A"
	nats_kill
	for _ in 1 2 3 4; do
		assert_errno ETIMEDOUT append "$A" $'{"eventType":"T","id":"one"}\n'
	done
	nats_start
	wait_for 60 "$ERRNO_DO" append "$A" $'{"eventType":"T","id":"one"}\n'
	assert_equal "$(events "$A" .id | grep -c '^one$')" 1
	run cat "$A"
	assert_success
}

# Through a handle: on the way to a file the kernel asks for more, if it was not just told, and each question to such a server waits.
@test "a server that is frozen is the same as none" {
	event='{"eventType":"T","id":"frozen"}'
	exec 7>>"$A"
	echo before >&7
	eval "$(freeze)"
	lasts_about_timeout run bash -c 'echo "$0" >&7' "$event"
	assert_output --partial 'timed out'
	exec 7>&-
	eval "$(thaw)"
	wait_for 60 "$ERRNO_DO" append "$A" "$event"$'\n'
	assert_equal "$(events "$A" .id | grep -c frozen)" 1
}

@test "unmounting works without NATS" {
	mount_start -n leaving --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	nats_kill
	mount_stop leaving
}

# Which of the mounts leads the cluster.
leads() {
	local m
	for m in mnt patient leaving; do
		[[ $(cat "$D/$m/.aether/cluster/leader") != "$(cat "$D/$m/.aether/cluster/self")" ]] || echo "$m"
	done
}

# It still leads by its own clock, and has others to tell.
@test "unmounting the cluster's leader works without NATS" {
	local leader
	mount_start -n leaving --nats "$NATS_URL" -o "timeout=$TIMEOUT"
	wait_for 30 eval '[[ $(leads | wc -w) == 1 ]]'
	leader="$(leads)"
	nats_kill
	mount_stop "$leader"
	[[ $leader == leaving ]] || mount_stop leaving
	nats_start
	case "$leader" in
	mnt) mount_start --nats "$NATS_URL" -o "timeout=$TIMEOUT" ;;
	patient) mount_start -n patient --nats "$NATS_URL" -o "timeout=$PATIENCE" ;;
	esac
}

# Writers with ids of their own, some that retry and some that do not; the server is killed and started again and again.
@test "kill -9 of the server under load: what was acknowledged is there once, nothing is there twice" {
	for w in 1 2 3; do
		"$ERRNO_DO" load "$A" "retry$w" 400 200 retry 2>"$D/acked.retry$w" 3>&- &
		"$ERRNO_DO" load "$A" "once$w" 400 200 once 2>"$D/acked.once$w" 3>&- &
	done
	for _ in 1 2 3 4; do
		wait_for 60 more_lines 150
		nats_kill
		nats_start
	done
	wait
	acknowledged_once "$A"
	for w in 1 2 3; do
		diff <(seq -f "retry$w-%g" 400) "$D/acked.retry$w" # all that were sent again, in order
	done
	rm "$D"/acked.*
}

acknowledged_once() {
	wait_for 60 cat "$1"
	jq -r .id <"$1" | sort >"$D/stored"
	assert_equal "$(uniq -d "$D/stored")" ''
	assert_equal "$(grep -hE -- '-[0-9]+$' "$D"/acked.* | sort | comm -23 - "$D/stored")" ''
	jq .version <"$1" | sort -nc
	(($(wc -l <"$D/stored") > 0))
}

# A mount on the private server, with a namespace, whatever became of the one before.
private_start() {
	mount_start -n "$P"
	mkdir -p "$D/$P/t"
}

@test "the private server dies: it is started again and appends go on" {
	private_start
	echo before >>"$D/$P/t/a"
	kill_all "nats-server.*$D/state"
	wait_for 60 "$ERRNO_DO" append "$D/$P/t/a" $'{"eventType":"T","id":"after"}\n'
	assert_equal "$(events "$D/$P/t/a" .eventType | xargs)" 'Text T'
	assert_equal "$(processes "nats-server.*$D/state" | wc -l)" 1
	mount_stop "$P"
}

@test "the supervisor dies: appends go on, and the server still ends with the mount" {
	private_start
	kill_all "supervise.*$D/state"
	wait_for 60 "$ERRNO_DO" append "$D/$P/t/b" $'x\n'
	mount_stop "$P"
	wait_for 60 none "nats-server.*$D/state"
}

@test "the daemon dies: mounting again on the stale mountpoint works and everything is there" {
	private_start
	seq 100 >>"$D/$P/t/c"
	before="$(sha256sum <"$D/$P/t/c")"
	mount_kill "$P"
	assert_errno ENOTCONN stat "$D/$P/unknown"
	mount_start -n "$P"
	assert_equal "$(sha256sum <"$D/$P/t/c")" "$before"
	echo more >>"$D/$P/t/c"
	assert_versions_1_to 101 "$D/$P/t/c"
	mount_stop "$P"
}

@test "umount of a stale mountpoint works" {
	private_start
	mount_kill "$P"
	"$AETHER" umount "$D/$P"
	run mounted "$D/$P"
	assert_failure
	wait_for 60 none "nats-server.*$D/state"
}

@test "SIGTERM to the daemon ends it as umount does" {
	private_start
	seq 10 >>"$D/$P/t/d"
	kill -TERM "$(cat "$D/$P.pid")"
	wait_for 60 test -s "$D/$P.rc"
	assert_equal "$(cat "$D/$P.rc")" 0
	run mounted "$D/$P"
	assert_failure
}

@test "SIGKILL of everything at once: all that was acknowledged is there" {
	private_start
	"$ERRNO_DO" load "$D/$P/t/e" all 100000 100 once 2>"$D/acked.all" 3>&- &
	writer=$!
	wait_for 60 bash -c '[[ $(wc -l <"$0") -gt 100 ]]' "$D/acked.all"
	kill_all "supervise.*$D/state" "nats-server.*$D/state" "aether mount $D/$P"
	kill "$writer"
	wait
	mount_start -n "$P"
	acknowledged_once "$D/$P/t/e"
	mount_stop "$P"
}

@test "a server that hangs is waited for once, where what the node has will do" {
	local fds=() fd i
	for i in {1..4}; do
		echo "$i" >>"$A-$i"
		exec {fd}<"$A-$i"
		cat <&"$fd" >"$D/read-$i"
		fds+=("$fd")
	done
	eval "$(freeze)"
	for fd in "${fds[@]}"; do cat <&"$fd"; done
	# If each had waited, the connection would have been given up meanwhile.
	assert_equal "$(jq -c '[.nats.connected, .nats.silent]' "$M/.aether/status")" '[true,true]'
	eval "$(thaw)"
	wait_for 60 cat "$A-1"
	assert_equal "$(jq .nats.silent "$M/.aether/status")" false
	for fd in "${fds[@]}"; do exec {fd}<&-; done
}
