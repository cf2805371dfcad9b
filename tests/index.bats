#!/usr/bin/env bats
# What ls and stat show: the index of a namespace, through everything that may happen to its watch.

load helper

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=60
	mount_start -n other --nats "$NATS_URL" -o timeout=60
	export O="$D/other"
}

setup() {
	NS="n$BATS_TEST_NUMBER"
	mkdir "$M/$NS"
}

teardown_file() {
	stop_all
}

# shows DIR NAME...: ls lists just these.
shows() {
	local dir=$1
	shift
	# shellcheck disable=SC2012,SC2011 # the names are ours
	[[ "$(ls "$dir" | xargs)" == "$*" ]]
}

# has_size FILE SIZE
has_size() {
	[[ "$(stat -c %s "$1")" == "$2" ]]
}

# ask SUBJECT [DATA]: a request to the server, as an administrator's tool would send it; prints the answer.
ask() {
	local line data=${2:-}
	exec 9<>"/dev/tcp/127.0.0.1/$(cat "$D/nats/port")"
	printf 'CONNECT {"verbose":false}\r\nSUB reply 1\r\nPUB %s reply %d\r\n%s\r\n' "$1" "${#data}" "$data" >&9
	while IFS= read -t 10 -r line <&9; do
		[[ $line != MSG* ]] || break
	done
	IFS= read -t 10 -r line <&9
	exec 9>&-
	printf '%s\n' "${line%$'\r'}"
}

all_consumers() {
	ask "\$JS.API.CONSUMER.NAMES.aether-$NS" | jq -r '.consumers[]?'
}

# Those of listings; each mount has another one for inotify, which it makes anew at once.
consumers() {
	all_consumers | grep -v ^af- || true
}

# counts LISTINGS ALL: are there so many consumers?
counts() {
	[[ $(consumers | wc -l) == "$1" && $(all_consumers | wc -l) == "$2" ]]
}

# What an administrator might do: the mounts hear nothing more, until they find out.
delete_consumers() {
	local name
	for name in $(all_consumers); do
		ask "\$JS.API.CONSUMER.DELETE.aether-$NS.$name" | jq -e .success
	done
	assert_equal "$(consumers)" ""
}

@test "a mount's own actors are listed at once" {
	shows "$M/$NS"
	delete_consumers
	for i in 1 2 3 4 5; do
		echo x >>"$M/$NS/a$i"
		[[ -e $M/$NS/a$i ]]
		run ls "$M/$NS"
		assert_line "a$i"
	done
	shows "$M/$NS" a1 a2 a3 a4 a5
	touch "$M/$NS/b"
	shows "$M/$NS" a1 a2 a3 a4 a5 b
	echo y >>"$M/$NS/a1"
	has_size "$M/$NS/a1" "$(wc -c <"$M/$NS/a1")"
}

@test "another mount's actors are listed soon, with their sizes" {
	shows "$O/$NS"
	echo x >>"$M/$NS/a"
	wait_for 60 shows "$O/$NS" a
	echo y >>"$M/$NS/a"
	wait_for 60 has_size "$O/$NS/a" "$(stat -c %s "$M/$NS/a")"
	touch "$O/$NS/b"
	wait_for 60 shows "$M/$NS" a b
}

@test "a listing is whole with thousands of actors, and ls -l as well" {
	(cd "$M/$NS" && touch f{1..3000})
	assert_equal "$(find "$O/$NS" -type f | wc -l)" 3000
	assert_equal "$(find "$O/$NS" -type f -size 0 | sort -u | wc -l)" 3000
}

@test "after the server was killed and started again everything that happened is shown" {
	echo x >>"$M/$NS/a"
	wait_for 60 shows "$O/$NS" a
	nats_kill
	nats_start
	wait_for 60 touch "$M/$NS/b"
	wait_for 60 shows "$O/$NS" a b
	echo y >>"$M/$NS/a"
	wait_for 60 has_size "$O/$NS/a" "$(stat -c %s "$M/$NS/a")"
	touch "$O/$NS/c"
	wait_for 60 shows "$M/$NS" a b c
}

# same_everywhere: both mounts list the same names with the same sizes.
same_everywhere() {
	cmp <(cd "$M/$NS" && stat -c '%n %s' -- *) <(cd "$O/$NS" && stat -c '%n %s' -- *)
}

@test "whatever another mount does while the server is killed and started again is shown" {
	shows "$O/$NS"
	(for i in {1..400}; do echo "$i" | tee -a "$M/$NS/new$i" >>"$M/$NS/old$((i % 7))" || exit 1; done) 3>&- &
	writer=$!
	for i in 100 200 300; do
		wait_for 60 test -e "$O/$NS/new$i"
		nats_kill
		nats_start
	done
	wait "$writer"
	wait_for 60 same_everywhere
	assert_equal "$(find "$O/$NS" -type f -size +0 | wc -l)" 407
}

@test "a consumer that an administrator deleted is made again" {
	echo x >>"$M/$NS/a"
	wait_for 60 shows "$O/$NS" a
	wait_for 60 shows "$M/$NS" a
	delete_consumers
	touch "$M/$NS/b"
	wait_for 60 shows "$O/$NS" a b
	touch "$O/$NS/c"
	wait_for 60 shows "$M/$NS" a b c
}

@test "a namespace that was removed and made anew is empty, and followed again" {
	shows "$M/$NS"
	shows "$O/$NS"
	rmdir "$O/$NS"
	wait_for 60 not ls "$M/$NS"
	mkdir "$O/$NS"
	wait_for 60 shows "$M/$NS"
	echo x >>"$O/$NS/new"
	wait_for 60 shows "$M/$NS" new
}

@test "a stream that an administrator deleted and somebody made anew is shown as it is now" {
	touch "$M/$NS/"{a,b,c}
	wait_for 60 shows "$O/$NS" a b c
	ask "\$JS.API.STREAM.DELETE.aether-$NS" | jq -e .success
	wait_for 60 mkdir "$M/$NS"
	touch "$M/$NS/"{b,d,e,f} # more than there were, so that the numbers alone do not give it away
	wait_for 60 shows "$O/$NS" b d e f
	wait_for 60 shows "$M/$NS" b d e f
}

@test "an actor that an administrator erased is not listed once that was found out, and can be made anew" {
	echo x | tee "$M/$NS/a" >"$M/$NS/b"
	wait_for 60 shows "$O/$NS" a b
	ask "\$JS.API.STREAM.PURGE.aether-$NS" "{\"filter\":\"aether.ev.$NS.a\"}" | jq -e '.purged > 0'
	assert_errno ENOENT open "$O/$NS/a" RDONLY
	assert_errno ENOENT stat "$O/$NS/a"
	wait_for 60 shows "$O/$NS" b
	echo again >>"$O/$NS/a"
	assert_equal "$(events "$O/$NS/a" .version,.data.text | xargs)" '1 again'
}

@test "the server keeps no consumer of a mount that has ended" {
	mount_start -n third --nats "$NATS_URL"
	touch "$M/$NS/a"
	shows "$D/third/$NS" a
	shows "$M/$NS" a
	wait_for 30 counts 2 5 # for inotify there are three, for the namespace shows on `other` too
	mount_stop third
	wait_for 60 counts 1 3
}
