#!/usr/bin/env bats
# What people watch files with works as it is, when another node makes the changes.

load helper
load live

setup_file() {
	mount_start -o timeout=60
	mount_start -n other -o timeout=60
	mkdir "$N"
	clients_install
	UNPACKED="$("$TESTS/unpacked" incron rsyslog)"
	export UNPACKED
}

setup() {
	ACTOR="a$BATS_TEST_NUMBER"
	A="$N/$ACTOR"
	B="$D/other/t/$ACTOR"
}

teardown() {
	watch_end
	tool_end
}

# unpacked PROGRAM ARGUMENT...: run one of those that are not installed.
unpacked() {
	local libs=("$UNPACKED"/usr/lib/*-linux-gnu*)
	tool env LD_LIBRARY_PATH="${libs[0]}" "$UNPACKED/usr/sbin/$1" "${@:2}"
}

# Both nodes have the actor, with one event.
begun() {
	echo begun >>"$B"
	[[ $(events "$A") == begun ]]
}

@test "inotifywait -m" {
	tool inotifywait -m "$N"
	wait_for 60 watches "$N"
	echo 1 >>"$B"
	for event in CREATE OPEN MODIFY CLOSE_WRITE,CLOSE; do
		wait_for 60 shown "^$N/ $event $ACTOR$"
	done
}

@test "inotifywait -m on the root: namespaces" {
	tool inotifywait -m "$M"
	wait_for 60 watches "$M"
	mkdir "$D/other/$ACTOR"
	wait_for 60 shown "^$M/ CREATE,ISDIR $ACTOR$"
	rmdir "$D/other/$ACTOR"
	wait_for 60 shown "^$M/ DELETE,ISDIR $ACTOR$"
}

@test "inotifywait -m -r: also what comes into namespaces that come" {
	tool inotifywait -m -r "$M"
	wait_for 60 watches "$N"
	mkdir "$D/other/$ACTOR"
	wait_for 60 watches "$M/$ACTOR"
	echo 1 >>"$D/other/$ACTOR/new"
	wait_for 60 shown "^$M/$ACTOR/ CLOSE_WRITE,CLOSE new$"
	echo 1 >>"$B"
	wait_for 60 shown "^$N/ CLOSE_WRITE,CLOSE $ACTOR$"
}

@test "inotifywait without -m: waits for one change" {
	begun
	tool bash -c 'inotifywait -q -e modify "$0" && tail -n 1 "$0"' "$A"
	wait_for 60 watches "$A"
	echo told >>"$B"
	wait_for 60 shown '"text":"told"'
}

@test "inotifywatch" {
	tool inotifywatch -e create -e close_write "$N"
	wait_for 60 watches "$N"
	watch "$N"
	echo 1 >>"$B"
	wait_for 60 seen CLOSE_WRITE,CLOSE "$ACTOR"
	watch_end
	tool_end
	assert_regex "$(cat "$D/out")" 'total +close_write +create +filename'
}

@test "fswatch" {
	tool fswatch -m inotify_monitor -x "$N"
	wait_for 60 watches "$N"
	echo 1 >>"$B"
	wait_for 60 shown "^$A .*Created"
	echo 2 >>"$B"
	wait_for 60 shown "^$A .*Updated"
}

@test "tail -f" {
	begun
	tool tail -f "$A"
	wait_for 60 shown begun
	for i in 1 2 3; do
		echo "line-$i" >>"$B"
		wait_for 60 shown "line-$i"
	done
	cmp "$D/out" "$B"
}

@test "tail -F, of an actor that is there" {
	begun
	tool tail -F "$A"
	wait_for 60 shown begun
	seq -f 'line-%g' 100 >>"$B"
	wait_for 60 shown line-100
	assert_equal "$(tail -n +2 "$D/out" | events /dev/stdin)" "$(events "$B" | tail -n +2)"
}

@test "tail -F, of an actor that comes later" {
	tool tail -F "$A"
	wait_for 60 grep -q 'cannot open' "$D/err"
	seq -f 'line-%g' 100 >>"$B"
	wait_for 60 shown line-100
	cmp "$D/out" "$B"
}

# Some tools overhear what happens while they are busy, on every file system: entr in the moment after its command has ended, chokidar
# what happens in a directory while it lists it. With these the change is made again until it was told.
# appended_shown FILE TEXT REGEX
appended_shown() {
	echo "$2" >>"$1"
	wait_for 1 shown "$3"
}

# removed_shown DIRECTORY NAME: made and removed.
removed_shown() {
	mkdir "$1" || rmdir "$1"
	wait_for 1 shown "^addDir $2$" && rmdir "$1" && wait_for 1 shown "^unlinkDir $2$"
}

@test "entr: runs a command when a file changes" {
	begun
	tool bash -c 'echo "$1" | entr -n tail -n 1 "$1"' bash "$A"
	wait_for 60 shown begun
	for i in 1 2 3; do
		wait_for 60 appended_shown "$B" "line-$i" "line-$i"
	done
}

@test "entr -d: ends when a file appears in the directory" {
	begun
	tool bash -c 'echo "$1" | entr -n -d true; echo "ended with $?"' bash "$A"
	wait_for 60 watches "$N"
	wait_for 60 appended_shown "$B-$EPOCHREALTIME" 1 'ended with 2'
}

@test "chokidar" {
	begun
	tool node "$D/clients/chokidar-print.cjs" "$N"
	wait_for 60 shown '^ready$'
	echo 1 >>"$B"
	wait_for 60 shown "^change $A$"
	wait_for 60 appended_shown "$B-new" 1 "^add $A-new$"
	wait_for 60 appended_shown "$B-new" 2 "^change $A-new$"
}

@test "chokidar on the root: namespaces, and what is in them" {
	tool node "$D/clients/chokidar-print.cjs" "$M"
	wait_for 60 shown '^ready$'
	mkdir "$D/other/$ACTOR"
	wait_for 60 shown "^addDir $M/$ACTOR$"
	wait_for 60 watches "$M/$ACTOR"
	wait_for 60 appended_shown "$D/other/$ACTOR/new" 1 "^add $M/$ACTOR/new$"
	wait_for 60 removed_shown "$D/other/$ACTOR-empty" "$M/$ACTOR-empty"
}

@test "python3-watchdog" {
	tool /usr/bin/python3 "$D/clients/watchdog_print.py" "$N"
	wait_for 60 watches "$N"
	echo 1 >>"$B"
	for event in created modified closed; do
		wait_for 60 shown "^$event $A$"
	done
}

@test "incron: runs a command for each actor that was written" {
	mkdir "$D/incron" "$D/incron/tables" "$D/incron/users"
	printf '%s\n' '#!/bin/sh' "echo \"\$1 \$2\" >>'$D/incron/ran'" >"$D/incron/run"
	chmod +x "$D/incron/run"
	echo "$N IN_CLOSE_WRITE $D/incron/run \$@ \$#" >"$D/incron/tables/test"
	printf '%s\n' "system_table_dir = $D/incron/tables" "user_table_dir = $D/incron/users" "lockfile_dir = $D/incron" >"$D/incron/conf"
	unpacked incrond -n -f "$D/incron/conf"
	wait_for 60 watches "$N"
	for i in {1..5}; do echo "$i" >>"$B-$i"; done
	for i in {1..5}; do wait_for 60 grep -qx "$N $ACTOR-$i" "$D/incron/ran"; done
}

@test "rsyslog: imfile takes the events of actors that are there and that come" {
	mkdir "$D/rsyslog"
	cat >"$D/rsyslog/conf" <<-CONF
		global(workDirectory="$D/rsyslog")
		module(load="imfile" mode="inotify")
		input(type="imfile" file="$A-*" tag="aether:")
		template(name="line" type="string" string="%msg%\n")
		action(type="omfile" file="$D/rsyslog/out" template="line")
	CONF
	echo before >>"$B-1"
	unpacked rsyslogd -n -f "$D/rsyslog/conf" -i "$D/rsyslog/pid" -M "$(echo "$UNPACKED"/usr/lib/*/rsyslog)"
	wait_for 60 grep -q before "$D/rsyslog/out"
	for i in {1..9}; do echo "line-$i" >>"$B-$((i % 3))"; done
	for i in {1..9}; do wait_for 60 grep -q "line-$i" "$D/rsyslog/out"; done
	diff <(sort "$D/rsyslog/out") <(cat "$B"-? | sort)
}
