#!/usr/bin/env bats
# inotify on one node shows what another node does, with the masks that a local change has.

load helper
load live

setup_file() {
	mount_start -o timeout=60
	mount_start -n other -o timeout=60,delete
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	B="$D/other/t/a$BATS_TEST_NUMBER"
}

teardown() {
	watch_end
}

# names COUNT EVENT: has that event been seen of so many names of the test's?
names() {
	[[ $(grep "^$2 ${A##*/}-" "$D/seen" | sort -u | wc -l) == "$1" ]]
}

# Wait until a change that is made now has been seen: what came well before it has been seen then, unless it had to rest.
settle() {
	echo settled >>"${B%/*}/${1:-settle}-$BATS_TEST_NUMBER"
	wait_for 30 seen CLOSE_WRITE,CLOSE "${1:-settle}-$BATS_TEST_NUMBER"
}

@test "an append: OPEN, MODIFY, CLOSE_WRITE" {
	watch "$N"
	echo 1 >>"$B"
	wait_for 30 appended "${A##*/}"
	settle
	: >"$D/seen"
	echo 2 >>"$B"
	wait_for 30 appended "${A##*/}"
	settle again
	assert_equal "$(all_of "${A##*/}")" 'OPEN MODIFY CLOSE_WRITE,CLOSE '
}

@test "an append to a new actor: CREATE, OPEN, MODIFY, CLOSE_WRITE" {
	watch "$N"
	echo 1 >>"$B"
	settle
	wait_for 30 appended "${A##*/}"
	assert_regex "$(all_of "${A##*/}")" '^CREATE OPEN (ATTRIB CLOSE_WRITE,CLOSE OPEN )?MODIFY CLOSE_WRITE,CLOSE $'
}

@test "touch of a new actor: CREATE, OPEN, ATTRIB, CLOSE_WRITE" {
	watch "$N"
	touch "$B"
	wait_for 30 seen CLOSE_WRITE,CLOSE "${A##*/}"
	settle
	assert_equal "$(all_of "${A##*/}")" 'CREATE OPEN ATTRIB CLOSE_WRITE,CLOSE '
}

@test "mkdir and rmdir: CREATE and DELETE of a directory" {
	watch "$M"
	mkdir "$D/other/d$BATS_TEST_NUMBER"
	wait_for 30 seen CREATE,ISDIR "d$BATS_TEST_NUMBER"
	rmdir "$D/other/d$BATS_TEST_NUMBER"
	wait_for 30 seen DELETE,ISDIR "d$BATS_TEST_NUMBER"
	assert_equal "$(all_of "d$BATS_TEST_NUMBER" | tr ' ' '\n' | grep -c 'CREATE\|DELETE')" 2
}

@test "an actor that is erased: DELETE, and CREATE when it comes back" {
	echo 1 >>"$B"
	watch "$N"
	rm "$B"
	wait_for 30 seen DELETE "${A##*/}"
	assert_errno ENOENT stat "$A"
	echo 2 >>"$B"
	wait_for 30 seen CREATE "${A##*/}"
	wait_for 30 seen MODIFY "${A##*/}"
	assert_versions_1_to 1 "$A"
	echo 3 >>"$A"
	assert_versions_1_to 2 "$B"
}

@test "many actors that are erased: none is missed" {
	for i in {1..200}; do echo "$i" >>"$B-$i"; done
	watch "$N"
	ls -l "$N" >/dev/null
	rm "$B"-*
	wait_for 60 names 200 DELETE
	wait_for 30 not compgen -G "$A-*"
}

@test "one's own erasing is seen once" {
	mount_start -n third -o timeout=60,delete
	watch "$D/third/t"
	for i in {1..20}; do
		echo "$i" >>"$D/third/t/${A##*/}-$i"
		rm "$D/third/t/${A##*/}-$i"
	done
	echo after >>"$B"
	wait_for 30 seen CLOSE_WRITE,CLOSE "${A##*/}"
	assert_equal "$(grep -c "^DELETE ${A##*/}-" "$D/seen")" 20
	assert_equal "$(grep -c "^CREATE ${A##*/}-" "$D/seen")" 20
	mount_stop third
}

@test "a full namespace that is removed: DELETE of it, and of what was in it" {
	mkdir "$M/full"
	for i in {1..10}; do echo "$i" >>"$D/other/full/a$i"; done
	watch "$M" "$M/full"
	rmdir "$D/other/full"
	wait_for 60 seen DELETE,ISDIR full
	not test -e "$M/full"
	mkdir "$M/full"
	assert_equal "$(ls "$M/full")" ''
	echo again >>"$M/full/a1"
	assert_versions_1_to 1 "$D/other/full/a1"
}

@test "a namespace made elsewhere can be watched at once" {
	watch "$M"
	mkdir "$D/other/n$BATS_TEST_NUMBER"
	wait_for 30 seen CREATE,ISDIR "n$BATS_TEST_NUMBER"
	watch_end
	watch "$M/n$BATS_TEST_NUMBER"
	echo 1 >>"$D/other/n$BATS_TEST_NUMBER/x"
	wait_for 30 seen MODIFY x
}

@test "one's own changes are seen once" {
	watch "$N"
	for i in {1..20}; do
		echo "$i" >>"$A-$i"
	done
	settle
	for i in {1..20}; do
		assert_equal "$(all_of "${A##*/}-$i")" 'CREATE OPEN MODIFY CLOSE_WRITE,CLOSE '
	done
}

@test "one's own mkdir and rmdir are seen once" {
	watch "$M"
	for i in {1..10}; do
		mkdir "$M/own-$i"
		rmdir "$M/own-$i"
	done
	mkdir "$D/other/after"
	wait_for 30 seen CREATE,ISDIR after
	rmdir "$D/other/after"
	wait_for 30 seen DELETE,ISDIR after
	for i in {1..10}; do
		assert_equal "$(all_of "own-$i" | tr ' ' '\n' | grep 'CREATE\|DELETE' | xargs)" 'CREATE,ISDIR DELETE,ISDIR'
	done
}

@test "a namespace removed elsewhere and made anew here can be used at once" {
	for i in {1..30}; do
		mkdir "$M/again-$i"
		rmdir "$D/other/again-$i"
		wait_for 30 mkdir "$M/again-$i"
		echo x >>"$M/again-$i/a"
	done
	watch "$M/again-1"
	echo y >>"$D/other/again-1/a"
	wait_for 30 seen MODIFY a
}

@test "a namespace that was somebody's directory when it was removed can be made anew, here and elsewhere" {
	for side in mnt other; do
		mkdir "$M/cwd-$side"
		cd "$M/cwd-$side"
		rmdir "$D/other/cwd-$side"
		wait_for 30 not test -e "$M/cwd-$side"
		mkdir "$D/$side/cwd-$side"
		wait_for 30 touch "$M/cwd-$side/a"
		cd "$D"
		[[ -e $D/other/cwd-$side/a ]]
	done
}

@test "500 new actors in a burst: none is missed" {
	watch "$N"
	for i in {1..500}; do
		echo "$i" >>"$B-$i"
	done
	wait_for 60 names 500 MODIFY
	settle
	assert_equal "$(grep -c "^CREATE ${A##*/}-" "$D/seen")" 500
}

# In the middle of it the daemon finds out whether anybody still watches, for nobody has looked for a while.
@test "much at once in a namespace that is only watched: none is missed" {
	mkdir "$M/only"
	watch "$M/only"
	wait_for 30 bash -c '((EPOCHSECONDS > $0))' "$((EPOCHSECONDS + 4))"
	kill -STOP "$(cat "$D/mnt.pid")"
	for i in {1..150}; do echo "$i" >>"$D/other/only/${A##*/}-$i"; done
	kill -CONT "$(cat "$D/mnt.pid")"
	wait_for 60 names 150 MODIFY
	assert_equal "$(grep -c "^CREATE ${A##*/}-" "$D/seen")" 150
}

@test "what the kernel knows already from a listing is still made once" {
	watch "$N"
	for i in {1..50}; do
		touch "$B-$i"
		ls -l "$N" >/dev/null
	done
	wait_for 30 names 50 CREATE
	settle
	assert_equal "$(grep -c "^CREATE ${A##*/}-" "$D/seen")" 50
}

@test "both nodes make the same actors at the same moment: each is made once" {
	watch "$N"
	for i in {1..50}; do
		echo here >>"$A-$i" &
		echo there >>"$B-$i"
		wait $!
	done
	wait_for 30 names 50 CREATE
	settle
	assert_equal "$(grep -c "^CREATE ${A##*/}-" "$D/seen")" 50
}

@test "appends in quick succession may be merged, but who reads when told has read all in the end" {
	echo 0 >>"$B"
	watch "$N"
	(tail -n +1 -f "$D/seen" | while read -r event name; do
		[[ $event != MODIFY || $name != "${A##*/}" ]] || version_of "$A" >"$D/last"
	done) 3>&- 4>&- &
	seq 300 | while read -r i; do echo "$i"; done >>"$B"
	wait_for 30 grep -qx 301 "$D/last"
	watch_end
	pkill -P $! || true
}

@test "a watch of the file itself is told" {
	echo 1 >>"$B"
	watch "$A"
	echo 2 >>"$B"
	wait_for 30 grep -q '^MODIFY' "$D/seen"
	wait_for 30 grep -q '^CLOSE_WRITE' "$D/seen"
}

@test "the attributes are true after an event" {
	echo 1 >>"$B"
	ls -l "$N" >/dev/null
	watch "$N"
	for i in {2..20}; do
		echo "$i" >>"$B"
		: >"$D/seen"
		wait_for 30 bash -c '[[ $(stat -c %s "$0") == "$(stat -c %s "$1")" ]]' "$A" "$B"
	done
}

@test "the process has no more rights than it needs, and nothing open" {
	run -0 poker
	pid="$output"
	assert_equal "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")" 1
	caps="$(awk '/^Cap(Prm|Eff)/ { print $2 }' "/proc/$pid/status" | sort -u)"
	assert_regex "$caps" '^000000000000000[0a]$'
	wait_for 30 bash -c '[[ $(ls /proc/'"$pid"'/fd | wc -l) == 4 ]]'
	assert_equal "$(readlink "/proc/$pid/cwd")" /
}

@test "the process is killed: another goes on, and nothing is missed" {
	watch "$N"
	for i in {1..60}; do
		((i % 20 != 10)) || { wait_for 30 poker && kill -9 "$(poker)"; }
		echo "$i" >>"$B-$i"
	done
	settle
	wait_for 30 names 60 MODIFY
	wait_for 30 poker
}

@test "the daemon is killed: no process of it is left, and no watcher hangs" {
	watch "$N"
	for i in {1..50}; do echo "$i" >>"$B-$i"; done 3>&- &
	pid="$(poker)"
	mount_kill
	wait $!
	wait_for 30 not kill -0 "$pid"
	wait_for 30 not grep -l '^State:.D' "/proc/$(cat "$D/watch.job")/status"
	watch_end
	umount -l "$M"
	mount_start -o timeout=60
}

@test "aether umount with watchers in place, and changes going on" {
	watch "$N"
	for i in {1..400}; do echo "$i" >>"$B-$i"; done 3>&- &
	wait_for 30 seen CREATE "${A##*/}-5"
	mount_stop
	wait $!
	mount_start -o timeout=60
}

live() {
	jq ".live.$1" "$M/.aether/status"
}

# loud COUNT: so many changes of a few actors by the other node.
loud() {
	for ((i = 0; i < $1; i++)); do echo "$i" >>"$D/other/$NS/a$((i % 50))"; done
}

@test "a namespace that was looked at and is not used is forgotten, and told again when it is" {
	NS=loud
	mkdir "$M/loud"
	known="$(live followed)"
	until [[ $(live followed) == $((known - 1)) ]]; do
		loud 100
		((SECONDS < 60))
	done
	watch "$M/loud"
	loud 50
	wait_for 30 seen MODIFY a49
	# What is watched is not forgotten.
	for i in {1..20}; do loud 100; done
	assert_equal "$(live followed)" "$known"
	: >"$D/seen"
	loud 1
	wait_for 30 seen MODIFY a0
}

# works_in DIRECTORY: does the kernel say that this is the working directory?
works_in() {
	[[ $(/bin/pwd) == "$1" ]]
}

@test "a working directory and an open file stay what they are when it is tried whether anybody uses the namespace" {
	NS=loud
	exec 7<"$M/loud/a1"
	cd "$M/loud"
	tried="$(live told)"
	until (($(live told) > tried + 200 && SECONDS > 8)); do loud 100; done
	wait_for 30 works_in "$M/loud"
	cd "$D"
	wc -l <&7 | grep -qx '[0-9]*'
	exec 7<&-
}

@test "a read-only mount shows at least what was opened" {
	mount_start -n ro -o ro -o timeout=60
	N2="$D/ro/t"
	echo 1 >>"$B"
	watch "$N2"
	echo 2 >>"$B"
	wait_for 30 seen OPEN "${A##*/}"
	mount_stop ro
}
