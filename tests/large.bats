#!/usr/bin/env bats
# A namespace with many actors: listing it, and what a node may believe of actors that others change.

load helper

COUNT=5000

setup_file() {
	mount_start
	mount_start -n other
	mkdir "$N"
	seq -f "$N/actor-%05.0f" "$COUNT" | xargs touch
	seq -f "actor-%05.0f" "$COUNT" >"$D/names"
}

setup() {
	O="$D/other/t"
	A="$N/a$BATS_TEST_NUMBER"
	B="$O/a$BATS_TEST_NUMBER"
}

# The names of COUNT actors, each once, are what a listing has of them.
assert_listed() {
	diff <(grep actor- "$1" | sort) "$D/names" || fail "not every actor once"
}

@test "every actor is listed once, by both" {
	ls -U "$N" >"$D/listing"
	assert_listed "$D/listing"
	ls -U "$O" >"$D/listing"
	assert_listed "$D/listing"
}

@test "every actor is listed once while others are made" {
	{ seq -f "$O/more-%g" 300 | xargs touch; } 3>&- &
	while [[ -n $(jobs -r) ]]; do
		ls -U "$N" >"$D/listing"
		assert_listed "$D/listing"
	done
	wait_for 30 bash -c '[[ $(ls "$0" | grep -c more-) == 300 ]]' "$N"
}

@test "a position in a listing stays what it was" {
	# shellcheck disable=SC2016 # perl expands
	run perl -e 'opendir(my $d, $ARGV[0]) or die; my (@at, @names);
		for (1 .. 1000) { push @at, telldir $d; push @names, scalar readdir $d }
		open(my $f, ">>", "$ARGV[0]/sought") or die;
		for my $i (reverse 0 .. 999) { seekdir $d, $at[$i]; die "$i" if readdir $d ne $names[$i] }
		seekdir $d, $at[999]; my $rest = () = readdir $d; print $rest + 999' "$N"
	assert_success
	((output >= COUNT + 2 && output <= COUNT + 2 + 400))
}

@test "a listing that is read to its end many times is always whole" {
	for _ in {1..20}; do
		ls -l "$O" | awk 'NF == 9 { print $9 }' >"$D/listing"
		assert_listed "$D/listing"
	done
}

@test "what this node makes is listed at once" {
	for i in {1..30}; do
		touch "$A-$i"
		ls "$N" >"$D/listing"
		grep -qx "${A##*/}-$i" "$D/listing"
		echo x >>"$A+$i"
		ls "$N" >"$D/listing"
		grep -qx "${A##*/}+$i" "$D/listing"
	done
}

@test "what another node makes is listed soon" {
	ls "$O" >/dev/null
	touch "$A"
	# shellcheck disable=SC2016 # the inner shell expands
	wait_for 30 bash -c 'ls "$0" | grep -qx "$1"' "$O" "${A##*/}"
}

@test "a name that was not there is found at once when another node has made it" {
	for i in {1..30}; do
		[[ ! -e $B-$i ]]
		touch "$A-$i"
		[[ -e $B-$i ]]
	done
}

@test "the size of an actor that another node appends to is right soon, without an open" {
	ls "$O" >/dev/null
	echo x >>"$A"
	wait_for 30 test -s "$B"
	for i in {1..20}; do
		seq "$i" >>"$A"
		wait_for 30 bash -c '[[ $(stat -c %s "$0") == "$1" ]]' "$B" "$(stat -c %s "$A")"
	done
}

@test "what is opened has its right size at once, whatever stat said before" {
	for i in {1..100}; do
		echo "$i" >>"$A"
		stat "$B" >/dev/null
		echo "more $i" >>"$A"
		[[ $(tail -n 1 "$B") == *"more $i"* ]]
		echo "last $i" >>"$A"
		assert_equal "$(wc -c <"$B")" "$(stat -c %s "$A")"
	done
}

@test "own appends show in the size at once" {
	ls "$N" >/dev/null
	for i in {1..50}; do
		echo "$i" >>"$A"
		assert_equal "$(stat -c %s "$A")" "$(cat "$A" | wc -c)"
	done
}

@test "the mode of a namespace is that of its actors, here at once and elsewhere soon" {
	mkdir "$M/modes"
	touch "$M/modes/x"
	ls -l "$M/modes" "$D/other/modes" >/dev/null
	chmod 700 "$M/modes"
	assert_equal "$(stat -c %a "$M/modes/x")" 600
	wait_for 30 bash -c '[[ $(stat -c %a "$0") == 600 ]]' "$D/other/modes/x"
}

@test "a namespace is made with the umask" {
	(umask 027 && mkdir "$M/masked")
	assert_equal "$(stat -c %a "$M/masked")" 750
	assert_equal "$(stat -c %a "$D/other/masked")" 750
}

@test "there are no access lists: getfacl shows the mode, setfacl is refused" {
	touch "$A"
	assert_errno EOPNOTSUPP getxattr "$A" system.posix_acl_access
	assert_errno EOPNOTSUPP getxattr "$N" security.selinux
	assert_equal "$(getfacl -cE "$A" 2>/dev/null | xargs)" 'user::rw- group::r-- other::r--'
	run setfacl -m u:nobody:rw "$A"
	assert_failure
	run setfacl -m u:nobody:rw "$N"
	assert_failure
}

@test "find, du and tar come to an end" {
	total="$(ls "$O" | wc -l)"
	assert_equal "$(find "$O" -type f | wc -l)" "$total"
	du -s "$O"
	assert_equal "$(tar -C "$D/other" -cf - t | tar -tf - | wc -l)" "$((total + 1))"
	assert_equal "$(ls "$O/.aether/actors" | wc -l)" "$total"
}

@test "a namespace that was listed and is removed elsewhere is gone, and empty when it is made again" {
	mkdir "$M/again"
	ls "$D/other/again"
	rmdir "$M/again"
	wait_for 30 not test -e "$D/other/again"
	mkdir "$M/again"
	touch "$M/again/new"
	wait_for 30 test -e "$D/other/again/new"
	wait_for 30 bash -c '[[ $(ls "$0") == new ]]' "$D/other/again"
}
