#!/usr/bin/env bats
# export and import: what is copied, by whom it may be interrupted, and that nothing is stored twice.

load helper

# A second mount, O, has a store of its own.
setup_file() {
	mount_start
	mount_start -n other --state-dir "$D/other-state"
	mkdir "$N" "$D/other/t"
	seq 40000 | sed 's/^/line /' >"$D/lines"
}

setup() {
	export A="$N/a$BATS_TEST_NUMBER" O="$D/other" W="$D/w$BATS_TEST_NUMBER"
	B="$O/t/a$BATS_TEST_NUMBER"
	mkdir "$W"
}

# begin_import ACTOR: a job that imports a fifo of the name of the file of lines, of which it is given half; some of these are stored
# when this returns, and it waits for more. Its number goes to W/job.
begin_import() {
	mkdir "$W/slow"
	mkfifo "$W/slow/lines"
	"$AETHER" import "$1" "$W/slow/lines" 2>"$W/err" 3>&- 4>&- &
	echo $! >"$W/job"
	exec 7>"$W/slow/lines"
	head -n 30000 "$D/lines" >&7
	wait_for 30 test -s "$1"
}

# Is the actor the file of lines, each once and in its order?
assert_lines() {
	diff <(events "$1") "$D/lines" >"$W/diff" || fail "$(head -n 5 "$W/diff")"
}

# So much of others in an actor that the mount itself knows no id of before.
append_much() {
	seq 120000 | sed 's/^/another /' >>"$1"
}

bar() {
	TERM=xterm script -qec "$*" /dev/null
}

@test "what is exported and imported into another store is the same, byte for byte" {
	echo '{"eventType":"T","version":7,"id":"\"x\"","commandId":"c","data":{"n":1.10},"metadata":{"k":"v"}}' >>"$A"
	seq 5000 >>"$A"
	"$AETHER" export "$A" "$W/${A##*/}"
	cmp "$A" "$W/${A##*/}"
	"$AETHER" import "$B" "$W/${A##*/}"
	cmp "$A" "$B"
	assert_equal "$(version_of "$B")" 5007
}

@test "a namespace of 200 actors comes back the same from another store" {
	mkdir "$M/many"
	for i in $(seq 200); do seq "$i" >>"$M/many/actor-$i"; done
	"$AETHER" export "$M/many" "$W/many"
	"$AETHER" import "$O/many" "$W/many"
	diff -r "$M/many" "$O/many"
	assert_equal "$(find "$W/many" -name '.*' -type f)" ''
}

@test "any name survives, also the longest" {
	mkdir "$M/odd"
	for name in "$(printf '%0255d' 0)" "$(printf 'ü%.0s' {1..127})" 'a b' '50%' '*' '-n' '\' '"' "'" 'a;b' '~' 'a.part'; do
		echo "$name" >>"$M/odd/$name"
	done
	"$AETHER" export "$M/odd" "$W/odd"
	"$AETHER" import "$O/odd" "$W/odd"
	diff -r "$M/odd" "$O/odd"
	assert_equal "$(find "$O/odd" -type f | wc -l)" 12
}

@test "actors and namespaces without events survive" {
	mount_start -n from --store memory
	mount_start -n to --store memory
	mkdir -m 0710 "$D/from/empty"
	mkdir "$D/from/full"
	touch "$D/from/full/nothing"
	echo x >>"$D/from/full/something"
	"$AETHER" export "$D/from" "$W/all"
	"$AETHER" import "$D/to" "$W/all"
	diff -r "$D/from" "$D/to"
	assert_equal "$(stat -c %a "$D/to/empty") $(version_of "$D/to/full/nothing")" '710 0'
	mount_stop from
	mount_stop to
}

@test "a namespace's mode goes with it" {
	mkdir -m 0710 "$M/mode"
	"$AETHER" export "$M/mode" "$W/mode"
	"$AETHER" import "$O/mode" "$W/mode"
	assert_equal "$(stat -c %a "$W/mode" "$O/mode" | xargs)" '710 710'
}

@test "an export that dies leaves no file of that name, and goes on where it was" {
	cp "$D/lines" "$A"
	run bash -c 'ulimit -f 2000; "$AETHER" export "$A" "$W/out"'
	assert_failure
	[[ ! -e $W/out && $(stat -c %s "$W"/.aether-*.part) == 2048000 ]]
	run bar "$AETHER" export "$A" "$W/out"
	assert_output --partial '; 2.0 MiB were there already'
	cmp "$A" "$W/out"
	assert_equal "$(ls -A "$W")" out
}

@test "what an export left that is not the actor's beginning is not gone on with" {
	cp "$D/lines" "$A"
	run bash -c 'ulimit -f 2000; "$AETHER" export "$A" "$W/out"'
	printf x | dd of="$(echo "$W"/.aether-*.part)" bs=1 seek=2047000 conv=notrunc status=none
	"$AETHER" export "$A" "$W/out"
	cmp "$A" "$W/out"
}

@test "an export again keeps what is there, and adds what the actor has more" {
	seq 1000 >>"$A"
	"$AETHER" export "$A" "$W/out"
	before="$(stat -c '%i %y' "$W/out")"
	"$AETHER" export "$A" "$W/out"
	assert_equal "$(stat -c '%i %y' "$W/out")" "$before"
	seq 1000 >>"$A"
	"$AETHER" export "$A" "$W/out"
	cmp "$A" "$W/out"
	assert_equal "$(ls -A "$W")" out
}

@test "an export to a file that another is writing says so" {
	cp "$D/lines" "$A"
	run bash -c 'ulimit -f 2000; "$AETHER" export "$A" "$W/out"'
	exec 8<"$(echo "$W"/.aether-*.part)"
	flock -n 8
	run "$AETHER" export "$A" "$W/out"
	exec 8<&-
	assert_failure 1
	assert_output --partial "$W/out: another export to it is under way"
}

@test "an import of the rest of standard input takes the rest" {
	seq 10 >>"$A"
	"$AETHER" export "$A" "$W/out"
	{ read -r _ && "$AETHER" import "$B" -; } <"$W/out"
	cmp "$B" <(tail -n +2 "$W/out")
}

@test "an export touches no file that is something else" {
	seq 1000 >>"$A"
	echo mine >"$W/out"
	run "$AETHER" export "$A" "$W/out"
	assert_failure 1
	assert_output --partial "$W/out"
	assert_equal "$(cat "$W"/out)" mine
	"$AETHER" export "$A" "$W/longer"
	echo more >>"$W/longer"
	run "$AETHER" export "$A" "$W/longer"
	assert_failure 1
	assert_equal "$(tail -n 1 "$W/longer")" more
}

@test "an import that is killed and run again stores nothing twice" {
	begin_import "$A"
	kill -9 "$(cat "$W/job")"
	exec 7>&-
	(($(version_of "$A") < 30000))
	"$AETHER" import "$A" "$D/lines"
	assert_lines "$A"
	assert_versions_1_to 40000 "$A"
}

@test "an import of exported events that is killed and run again stores nothing twice" {
	cp "$D/lines" "$A"
	"$AETHER" export "$A" "$W/${A##*/}"
	head -n 12345 "$W/${A##*/}" | "$AETHER" import "$B" -
	"$AETHER" import "$B" "$W/${A##*/}"
	cmp "$A" "$B"
}

@test "an import that is interrupted says so, and goes on behind what others appended" {
	begin_import "$A"
	kill "$(cat "$W/job")"
	wait "$(cat "$W/job")" || echo "$?" >"$W/rc"
	exec 7>&-
	assert_equal "$(cat "$W/rc")" 1
	assert_equal "$(cat "$W/err")" "aether: $W/slow/lines: interrupted; the same command again goes on from here"
	append_much "$A"
	"$AETHER" import "$A" "$D/lines"
	diff <(events "$A" | grep -v another) "$D/lines"
	assert_equal "$(version_of "$A")" 160000
}

@test "an import that is complete stores nothing when it is run again" {
	head -n 100 "$D/lines" >"$W/text"
	printf '{"a":%d}\n{"eventType":"T","id":"i%d"}\n' {1..100} >"$W/events"
	for file in text events; do "$AETHER" import "$A" "$W/$file"; done
	before="$(fingerprint "$A")"
	for file in text events; do "$AETHER" import "$A" "$W/$file"; done
	assert_equal "$(fingerprint "$A")" "$before"
	assert_versions_1_to 200 "$A"
}

@test "a file that has grown adds what is new, another with the same lines adds them again" {
	printf 'head\n1\n' >"$W/one"
	"$AETHER" import "$A" "$W/one"
	echo 2 >>"$W/one"
	"$AETHER" import "$A" "$W/one"
	printf 'head\n3\n' >"$W/two"
	"$AETHER" import "$A" "$W/two"
	assert_equal "$(events "$A" | xargs)" 'head 1 2 head 3'
}

@test "of lines with the same id one is stored, and the lines behind them once" {
	printf '{"eventType":"T","id":"%s"}\n' a b a c b d >"$W/file"
	head -n 5 "$W/file" | "$AETHER" import "$A" -
	append_much "$A"
	"$AETHER" import "$A" "$W/file"
	assert_equal "$(jq -r 'select(.eventType == "T").id' "$A" | xargs)" 'a b c d'
}

@test "a line that is refused is named, what is before it stays, and what is behind it comes later" {
	printf 'one\n\ntwo\n{"eventType":"T","datum":1}\nthree' >"$W/file"
	run --separate-stderr "$AETHER" import "$A" "$W/file"
	assert_failure 1
	[[ ${stderr:?} == "aether: $W/file:4: "*datum* || $stderr == "aether: $W/file:4: "*key* ]] || fail "$stderr"
	assert_equal "$(events "$A" | xargs)" 'one two'
	sed -i 's/datum":1/data":{"text":"mended"}/' "$W/file"
	"$AETHER" import "$A" "$W/file"
	assert_equal "$(events "$A" | xargs)" 'one two mended three'
}

@test "an event that the mount refuses is named by its line, also with commit=async" {
	mount_start -n async -o commit=async
	mkdir "$D/async/a"
	echo '{"eventType":"T","version":500}' >>"$D/async/a/x"
	printf '{"version":%d,"id":"n%d","eventType":"T","actorId":"x","timestamp":"2020-01-01T00:00:00Z","data":{}}\n' \
		501 1 502 2 502 3 503 4 >"$W/x"
	run "$AETHER" import "$D/async/a/x" "$W/x"
	assert_failure 3
	assert_output --partial "$W/x:3: version conflict: $D/async/a/x is at version 502, attempted 502"
	assert_equal "$(events "$D/async/a/x" .id | tail -n 1)" n2
	mount_stop async
}

@test "a version conflict exits 3 and says current and attempted" {
	echo '{"eventType":"T","version":9}' >>"$A"
	printf '{"eventType":"T","version":%d}\n' 4 5 >"$W/file"
	run "$AETHER" import "$A" "$W/file"
	assert_failure 3
	assert_output --partial "$W/file:1: version conflict: $A is at version 9, attempted 4"
	assert_equal "$(version_of "$A")" 9
}

@test "other content under an id that is stored is an error" {
	printf '{"eventType":"T","id":"%s","data":{"n":1}}\n' a b >"$W/file"
	"$AETHER" import "$A" "$W/file"
	sed -i '2s/:1}/:2}/' "$W/file"
	run "$AETHER" import "$A" "$W/file"
	assert_failure 1
	assert_output --partial "$W/file:2:"
	assert_equal "$(version_of "$A")" 2
}

@test "events of another actor are refused" {
	echo x >>"$A"
	"$AETHER" export "$A" "$W/out"
	run "$AETHER" import "$A-2" "$W/out"
	assert_failure 1
	assert_output --partial 'actorId'
}

@test "long lines are imported, and one that is too long is named" {
	{ for n in 300000 5 700000; do head -c "$n" /dev/zero | tr '\0' x; echo; done; } >"$W/file"
	"$AETHER" import "$A" "$W/file"
	cmp <(events "$A") "$W/file"
	{ head -c 3000000 /dev/zero | tr '\0' y; echo; echo z; } >>"$W/file"
	run "$AETHER" import "$A" "$W/file"
	assert_failure 1
	assert_output --partial "$W/file:4: an event is larger than the server allows"
	assert_equal "$(version_of "$A")" 3
}

@test "- is standard output and standard input" {
	seq 10 >>"$A"
	"$AETHER" export "$A" - | sed "s/\"actorId\":\"${A##*/}\"/\"actorId\":\"copy\"/" | "$AETHER" import "$N/copy" -
	assert_equal "$(events "$N/copy" | xargs)" "$(seq 10 | xargs)"
}

@test "a file into a namespace and an actor into a directory keep their names" {
	seq 10 >>"$A"
	"$AETHER" export "$A" "$W"
	"$AETHER" import "$O/t" "$W/${A##*/}"
	cmp "$A" "$B"
}

@test "a symbolic link is not replaced, but what it leads to" {
	seq 10 >>"$A"
	touch "$W/file"
	ln -s file "$W/link"
	"$AETHER" export "$A" "$W/link"
	cmp "$A" "$W/file"
	[[ -L $W/link ]]
}

@test "what is not on a mount is named" {
	mkdir "$W/plain"
	for command in "export $W/plain $W/out" "import $W/plain/a $D/lines" "import $W/new $W/plain"; do
		run "$AETHER" $command
		assert_failure 1
		assert_output --partial 'not on a mount of Aether'
	done
	[[ ! -e $W/out && ! -e $W/plain/a && ! -e $W/new ]]
}

@test "a directory inside a namespace is an error, hidden files are passed over" {
	mkdir -p "$W/ns/inner"
	run "$AETHER" import "$N" "$W/ns"
	assert_failure 1
	assert_output --partial "$N/inner: a namespace cannot be in a namespace"
	rmdir "$W/ns/inner"
	echo x >"$W/ns/.aether-0.part"
	"$AETHER" import "$N" "$W/ns"
}

@test "a bar is shown on a terminal, and what came of it" {
	cp "$D/lines" "$A"
	run bar "$AETHER" export "$A" "$W/out"
	assert_success
	assert_output --regexp '[0-9]+% \[.*\] .*B of [0-9.]+ MiB'
	assert_output --regexp '[0-9.]+ MiB in [0-9.]+ s'
	run bar "$AETHER" import "$A-2" "$D/lines"
	assert_output --regexp '[0-9]+% \[.*\] .*B of [0-9.]+ KiB'
}

@test "no bar with --quiet, and none where there is no terminal" {
	run bar "$AETHER" import --quiet "$A" "$D/lines"
	assert_success
	assert_output ''
	run "$AETHER" export "$A" "$W/out"
	assert_success
	assert_output ''
}

@test "an import waits for another into the same actor" {
	begin_import "$A"
	"$AETHER" import "$A" "$D/lines" 2>"$W/second" 3>&- 4>&- 7>&- &
	second=$!
	wait_for 20 grep -q 'waits for another import' "$W/second"
	tail -n +30001 "$D/lines" >&7
	exec 7>&-
	wait "$(cat "$W/job")" "$second"
	assert_lines "$A"
}

@test "an import goes on when NATS was away for a while" {
	nats_start
	mount_start -n away --nats "$NATS_URL" -o timeout=1
	mkdir "$D/away/t"
	begin_import "$D/away/t/x"
	eval "$(freeze)"
	tail -n +30001 "$D/lines" >&7 3>&- 4>&- &
	exec 7>&-
	wait_for 20 grep -q ETIMEDOUT "$D/away.log"
	eval "$(thaw)"
	wait "$(cat "$W/job")"
	assert_lines "$D/away/t/x"
	mount_stop away
}
