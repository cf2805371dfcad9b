# shellcheck shell=bash
# The verbs of the bats files. Every file has its own temporary directory D with its own state directory (so its own
# private nats-server) in it; unless it says otherwise it has one mount, M, with one namespace, N, and each test has an actor of
# its own, A. Variables: AETHER is the binary, AETHER_NATS_SERVER the nats-server that mounts start (default: the system's).

bats_require_minimum_version 1.5.0
# bats_load_library would do, but takes a third of a second of CPU time, and this is read for every test.
for lib in "${BATS_LIB_PATH:-/usr/lib/bats}"/bats-{support,assert}/src/*.bash; do
	# shellcheck disable=SC1090
	source "$lib"
done

: "${AETHER:?the path of the binary to test}"
ERRNO_DO="${ERRNO_DO:-$(dirname "$AETHER")/tests/errno-do}"
TESTS="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
D="$BATS_FILE_TMPDIR"
M="$D/mnt"
N="$M/t"
export AETHER ERRNO_DO TESTS D M N LC_ALL=C.UTF-8
# What tells our processes from those of others; the runner looks for what is left behind by it.
export AETHER_TEST_MARK="${AETHER_TEST_MARK:-$BATS_RUN_TMPDIR}"
# Reports go to files of their own, for a daemon's standard error may lead nowhere; sanitizer_reports looks into both.
export ASAN_OPTIONS="log_path=$D/san:exitcode=99${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="log_path=$D/san:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
export TSAN_OPTIONS="log_path=$D/san:exitcode=99:second_deadlock_stack=1:suppressions=$TESTS/tsan.supp${TSAN_OPTIONS:+:$TSAN_OPTIONS}"

setup_file() {
	mount_start
	mkdir "$N"
}

setup() {
	export A="$N/a$BATS_TEST_NUMBER"
}

teardown_file() {
	stop_all
}

# wait_for SECONDS COMMAND...: poll until the command succeeds; fails after SECONDS, with what it said last. The one place where tests sleep.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) said="$D/wait_for.$BASHPID"
	until "${@:2}" >"$said" 2>&1; do
		if ((${EPOCHREALTIME/./} > end)); then
			echo "after $1 s still not true: ${*:2}"
			tail -c 1000 "$said"
			return 1
		fi
		sleep 0.03
	done
}

# not COMMAND...: succeeds when it fails; for wait_for, and because bats overlooks a bare "!".
not() {
	! "$@"
}

# assert_errno OK|ERRNO OPERATION ARGUMENT...: the exact outcome of one operation; tests/errno-do.c lists them.
assert_errno() {
	local got
	got="$("$ERRNO_DO" "${@:2}" 2>"$D/errno-do.err")" || true
	[[ $got == "$1" ]] || fail "$(printf '%.200s ' "${@:2}"): $got instead of $1 $(tail -c 300 "$D/errno-do.err")"
}

# The latest version of an actor, by its path.
version_of() {
	cat "${1%/*}/.aether/actors/${1##*/}/version"
}

# What an actor is: version, size, and a sum of its bytes; also says so of one that does not exist.
fingerprint() {
	if [[ -e $1 ]]; then
		echo "version $(version_of "$1") size $(stat -c %s "$1") sum $(sha256sum <"$1")"
	else
		echo absent
	fi
}

# assert_refused ERRNO FILE TEXT...: the append fails with exactly that, nothing of it is stored, and the daemon still serves.
assert_refused() {
	local before
	[[ -e $2 ]] || assert_errno OK append "$2" $'first\n'
	before="$(fingerprint "$2")"
	assert_errno "$1" append "${@:2}"
	assert_equal "$(fingerprint "$2")" "$before"
	assert_errno OK append "${2%/*}/alive" $'still here\n'
}

# The values of a jq expression over an actor's events, one a line.
events() {
	jq -r "${2:-.data.text}" <"$1"
}

# Are an actor's versions 1, 2, 3 … N?
assert_versions_1_to() {
	diff <(jq .version <"$2") <(seq "$1") || fail "the versions of $2 are not 1 to $1"
}

mounted() {
	grep -qF " $1 " /proc/self/mountinfo
}

up_or_ended() {
	[[ -s $1.rc ]] || { mounted "$1" && cat "$1/.aether/version"; }
}

# watch_into SEEN JOB PATH...: an inotifywait that writes what it sees to SEEN, one event a line: names of events, name. Its
# number goes to JOB; it is there when this returns.
watch_into() {
	: >"$1"
	: >"$2.err" # here, and not by the job, which may take its time to begin: what the watcher before said is no answer
	inotifywait -m --format '%e %f' -o "$1" "${@:3}" 2>>"$2.err" </dev/null 3>&- 4>&- &
	echo $! >"$2"
	wait_for 30 grep -q 'Watches established' "$2.err"
}

# mount_start [-n NAME] OPTION...: mount at D/NAME (default mnt), with the state directory D/state unless the options choose
# a server, and wait until it answers. The daemon runs in the foreground of a background job, which keeps its exit code. MOUNT_IN
# holds words to put before its command.
mount_start() {
	local dir="$D/mnt"
	if [[ ${1:-} == -n ]]; then
		dir="$D/$2"
		shift 2
	fi
	[[ " $*" == *" --nats"* || " $*" == *" --store"* || " $*" == *" --state-dir"* ]] || set -- --state-dir "$D/state" "$@"
	mkdir -p "$dir" 2>/dev/null || true # a stale mountpoint cannot be made, and need not be
	# The job of a daemon that was here before, and has died, may not have told yet.
	[[ ! -e $dir.pid ]] || wait_for 30 test -s "$dir.rc"
	rm -f "$dir.rc"
	(
		rc=0
		# shellcheck disable=SC2016 # the inner shell expands
		bash -c 'echo $$ >"$0.pid"; exec "$@"' "$dir" ${MOUNT_IN:-} "$AETHER" mount "$dir" -f -o "log=$dir.log" "$@" || rc=$?
		echo "$rc" >"$dir.rc"
	) </dev/null >>"$dir.out" 2>&1 3>&- 4>&- &
	disown # so that a test's own wait does not wait for it
	wait_for 30 up_or_ended "$dir"
	[[ ! -s $dir.rc ]] || fail "mount ended with $(cat "$dir.rc"): $(tail "$dir.out" "$dir.log")"
}

# mount_stop [NAME]: unmount; the daemon must have ended with exit code 0 and without a sanitizer's report.
mount_stop() {
	local dir="$D/${1:-mnt}"
	"$AETHER" umount "$dir"
	wait_for 30 test -s "$dir.rc"
	[[ $(cat "$dir.rc") == 0 ]] || fail "the daemon ended with $(cat "$dir.rc"): $(tail "$dir.out" "$dir.log")"
	sanitizer_reports
}

# mount_kill [NAME]: kill -9 the daemon.
mount_kill() {
	local dir="$D/${1:-mnt}"
	kill -9 "$(cat "$dir.pid")"
	wait_for 30 test -s "$dir.rc"
}

sanitizer_reports() {
	local found
	found="$(grep -lE 'ERROR: [A-Za-z]+Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$D"/*.log "$D"/*.out "$D"/san.* \
		"$D"/state/*.log 2>/dev/null || true)"
	[[ -z $found ]] || fail "a sanitizer reports: $(head -n 40 "$(head -n 1 <<<"$found")")"
}

# Stop every mount of this file that still runs, then its own server.
stop_all() {
	local pid
	[[ ! -e $D/nats/pid ]] || eval "$(thaw)"
	for pid in "$D"/*.pid; do
		[[ -e $pid && ! -s ${pid%.pid}.rc ]] || continue
		mount_stop "$(basename "$pid" .pid)"
	done
	[[ ! -e $D/nats/pid ]] || nats_stop
	# The private server ends after its last mount, and its files are about to be removed.
	wait_for 20 none "(nats-server|supervise).*$D/"
	sanitizer_reports
}

# free_port: print a port that is this file's own until its directory D is gone. A server that is killed and started again must find its port
# free, and until then nobody else's may be there: nodes would go on at that one, and servers make one cluster with it. So no port will do that
# the system gives to whoever asks for any (ip_local_port_range), as it does to every connection.
free_port() {
	local port taken="/tmp/aether-test-ports-$UID"
	mkdir -p "$taken"
	while :; do
		port=$((20000 + RANDOM % 12000))
		# One whose directory is gone is free again.
		if (flock 9 && [[ ! -e $taken/$port ]] && ln -sfn "$D" "$taken/$port") 9>>"$taken/lock" &&
			! bash -c "exec 9<>/dev/tcp/127.0.0.1/$port" 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}

# nats_start: run this file's own nats-server, with JetStream in D/nats; after nats_kill or nats_stop the same again at the
# same port. NATS_CONF holds more lines of its configuration, to be set before the first start.
nats_start() {
	local dir="$D/nats"
	mkdir -p "$dir"
	rm -f "$dir"/*.ports
	[[ -e $dir/port ]] || free_port >"$dir/port"
	cat >"$dir/conf" <<-CONF
		listen: "127.0.0.1:$(cat "$dir/port")"
		jetstream { store_dir: "$dir", ${NATS_JETSTREAM:-} }
		${NATS_CONF:-}
	CONF
	nats_run "$dir" </dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
	disown
	wait_for 20 compgen -G "$dir/*.ports" || fail "nats-server: $(tail "$dir/log")"
	wait_for 20 jq -re '.nats[0]' "$dir"/*.ports
	NATS_URL="nats://127.0.0.1:$(cat "$dir/port")"
	export NATS_URL
}

# Run the server, and again if a panic has ended it (2.9.10 has some, under load), as whoever supervises servers would.
nats_run() {
	local rc=2
	while [[ $rc == 2 ]]; do
		"${AETHER_NATS_SERVER:-nats-server}" -c "$1/conf" --ports_file_dir "$1" &
		echo $! >"$1/pid"
		rc=0
		wait $! || rc=$?
	done
}

# nats_kill [SIGNAL]: end it, with SIGKILL if nothing else is said, and wait until it is gone.
nats_kill() {
	local pid
	pid="$(cat "$D/nats/pid")"
	kill "${1:--KILL}" "$pid" 2>/dev/null || true
	wait_for 20 not kill -0 "$pid"
	rm -f "$D/nats/pid"
}

nats_stop() {
	nats_kill -TERM
}

# nats_back: whatever a test did to it, the file's own server is there, and the mount has found it.
nats_back() {
	[[ -e $D/nats/pid ]] || nats_start
	eval "$(thaw)"
	wait_for 60 touch "$N/alive"
}

# The processes of this test file whose command line matches, as the runner marks them.
processes() {
	local pid
	for pid in $(pgrep -f "$1"); do
		if grep -qzxF "AETHER_TEST_MARK=${AETHER_TEST_MARK:-}" "/proc/$pid/environ" 2>/dev/null; then
			echo "$pid"
		fi
	done
}

none() {
	[[ -z $(processes "$1") ]]
}

# Commands that stop the file's own nats-server, as a whole when they have ended, and let it go on.
freeze() {
	local pid
	pid="$(cat "$D/nats/pid")"
	echo "kill -STOP $pid; while grep -L '^State:.T' /proc/$pid/task/*/status | grep -q .; do :; done"
}

thaw() {
	echo "kill -CONT $(cat "$D/nats/pid")"
}

# more_lines COUNT: so many lines more were acknowledged, in D/acked.*, than when asked before; or the writers, which are jobs, are done.
more_lines() {
	local now
	now="$(cat "$D"/acked.* | wc -l)"
	if ((now >= $(cat "$D/lines" 2>/dev/null || echo 0) + $1 || $(jobs -rp | wc -l) == 0)); then
		echo "$now" >"$D/lines"
	else
		return 1
	fi
}

# kill_all PATTERN...: kill -9 the processes of this test file that match, all at the same moment.
kill_all() {
	local pids pattern
	mapfile -t pids < <(for pattern in "$@"; do processes "$pattern"; done)
	kill -9 "${pids[@]}"
}
