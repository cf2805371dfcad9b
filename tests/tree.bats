#!/usr/bin/env bats
# The tree: namespaces, what is listed and what is hidden, what stat, df and xattrs say.

load helper

# Everything that a remount must keep of the tree below a directory.
tree_of() {
	(cd "$1" && find . -mindepth 1 -printf '%p %y %m %U %G %s %i %T@\n' | sort)
}

@test "mkdir creates a namespace and rmdir removes it" {
	mkdir "$M/short"
	[[ -d $M/short ]]
	rmdir "$M/short"
	assert_errno ENOENT stat "$M/short"
}

@test "a namespace that was removed can be created again, empty" {
	mkdir "$M/again"
	rmdir "$M/again"
	mkdir "$M/again"
	assert_equal "$(ls -A "$M/again")" ''
	rmdir "$M/again"
}

@test "mkdir of one that exists is EEXIST" { assert_errno EEXIST mkdir "$N"; }

@test "rmdir of a namespace with actors is ENOTEMPTY" {
	echo x >>"$A"
	assert_errno ENOTEMPTY rmdir "$N"
	assert_equal "$(events "$A")" x
}

@test "rmdir of a namespace with an empty actor is ENOTEMPTY" {
	mkdir "$M/full"
	touch "$M/full/empty"
	assert_errno ENOTEMPTY rmdir "$M/full"
}

@test "rmdir of what does not exist is ENOENT" { assert_errno ENOENT rmdir "$M/nothing"; }
@test "rmdir of the hidden trees is refused" {
	run rmdir "$M/.aether" "$N/.aether"
	assert_failure
	[[ -d $M/.aether && -d $N/.aether ]]
}
@test "namespaces do not nest" { assert_errno EPERM mkdir "$N/inner"; }
@test "there are no files beside the namespaces" {
	run "$ERRNO_DO" append "$M/file" $'x\n'
	assert_failure 1
	assert_errno ENOENT stat "$M/file"
}

@test "a namespace and an actor of it are listed once" {
	echo x >>"$A"
	assert_equal "$(find "$M" -mindepth 1 -maxdepth 1 -name t | wc -l)" 1
	assert_equal "$(find "$N" -name "${A##*/}" | wc -l)" 1
}

@test "the hidden tree is never listed and always reachable" {
	run ls -a "$M" "$N"
	refute_line .aether
	assert_line .
	assert_line ..
	[[ -d $M/.aether && -d $N/.aether && -d $N/.aether/actors ]]
}

@test "find, du and grep -r are finite and see every event once" {
	mkdir "$M/finite"
	seq 10 >>"$M/finite/a"
	seq 10 >>"$M/finite/b"
	assert_equal "$(timeout 100 find "$M/finite" -type f | sort | xargs)" "$M/finite/a $M/finite/b"
	assert_equal "$(timeout 100 grep -r '"text":"7"' "$M/finite" | wc -l)" 2
	timeout 100 du -s "$M" >/dev/null
}

@test "tar takes everything, and nothing changes meanwhile" {
	mkdir "$M/packed"
	for i in 1 2 3; do seq "$i" >>"$M/packed/a$i"; done
	tar -C "$M" -cf "$D/packed.tar" packed
	mkdir "$BATS_TEST_TMPDIR/out"
	tar -C "$BATS_TEST_TMPDIR/out" -xf "$D/packed.tar"
	diff -r "$M/packed" "$BATS_TEST_TMPDIR/out/packed"
}

@test "a directory with many actors is listed whole" {
	mkdir "$M/many"
	seq 1500 | awk -v dir="$M/many" '{ file = dir "/actor-" $1; print "x" >>file; close(file) }'
	assert_equal "$(ls -U "$M/many" | wc -l)" 1500
	diff <(ls "$M/many" | sort) <(seq -f 'actor-%g' 1500 | sort)
}

@test "inodes, sizes, times, modes and owners are the same after a remount" {
	mkdir -m 750 "$M/kept"
	chown 12:34 "$M/kept"
	seq 20 >>"$M/kept/a"
	touch "$M/kept/empty"
	before="$(tree_of "$M/kept")"
	stat -c '%i %a %u %g' "$M/kept" >"$D/kept"
	mount_stop
	mount_start
	diff <(tree_of "$M/kept") <(echo "$before")
	diff <(stat -c '%i %a %u %g' "$M/kept") "$D/kept"
	assert_equal "$(stat -c '%a %u %g' "$M/kept")" '750 12 34'
}

@test "inodes differ" {
	mkdir "$M/inodes"
	for i in {1..50}; do echo x >>"$M/inodes/$i"; done
	assert_equal "$(find "$M/inodes" -printf '%i\n' | sort -u | wc -l)" 51
}

@test "stat and readdir agree on the inode" {
	echo x >>"$A"
	assert_equal "$(ls -i "$N" | awk -v name="${A##*/}" '$2 == name { print $1 }')" "$(stat -c %i "$A")"
}

@test "the size is the length of the replay, right after the write" {
	for i in {1..20}; do
		echo "line $i" >>"$A"
		assert_equal "$(stat -c %s "$A")" "$(cat "$A" | wc -c)"
	done
}

@test "the modification time is that of the last event" {
	seq 3 >>"$A"
	event="$(events "$A" .timestamp | tail -n 1)"
	difference="$(echo "$(stat -c %.6Y "$A") $(date -d "$event" +%s.%6N)" | awk '{ print ($1 > $2 ? $1 - $2 : $2 - $1) < 0.01 }')"
	assert_equal "$difference" 1
}

@test "an actor is a regular file with one link" {
	echo x >>"$A"
	assert_equal "$(stat -c '%F %h' "$A")" 'regular file 1'
}

@test "df shows JetStream's limits" {
	read -r blocks used free < <(df --output=size,used,avail "$M" | tail -n 1)
	((blocks > 0 && free > 0 && used >= 0 && free <= blocks))
}

@test "an actor's version file" {
	assert_errno ENOENT stat "$N/.aether/actors/${A##*/}"
	touch "$A"
	assert_equal "$(od -An -tx1 "$N/.aether/actors/${A##*/}/version")" ' 30 0a'
	seq 12 >>"$A"
	assert_equal "$(cat "$N/.aether/actors/${A##*/}/version")" 12
}

@test "the version file cannot be written" {
	echo x >>"$A"
	run bash -c 'echo 7 >>"$0"' "$N/.aether/actors/${A##*/}/version"
	assert_failure
	assert_equal "$(version_of "$A")" 1
}

@test "nothing can be made or removed in the hidden trees" {
	for op in "mkdir $M/.aether/x" "mkdir $N/.aether/actors/x" "unlink $M/.aether/version" "rmdir $N/.aether/actors"; do
		# shellcheck disable=SC2086 # two words
		run "$ERRNO_DO" $op
		assert_failure 1
	done
}

@test "the mount's version is the binary's" {
	assert_equal "aether $(grep -oE '[0-9]+\.[0-9]+\.[0-9]+' "$M/.aether/version")" "$("$AETHER" version | head -n 1)"
}

@test "the mount's status is JSON" {
	run jq -e 'type == "object" and length > 3' "$M/.aether/status"
	assert_success
	run jq -r '.. | strings' "$M/.aether/status"
	assert_output --regexp '[0-9]+\.[0-9]+\.[0-9]+'
}

@test "the mount runs the nats-server that it was told to" {
	run processes "nats-server.*$D/state"
	assert_equal "$(realpath "/proc/$output/exe")" "$(realpath "$(command -v "${AETHER_NATS_SERVER:-nats-server}")")"
}

@test "xattrs of an actor" {
	seq 3 >>"$A"
	echo '{"eventType":"T","version":10}' >>"$A"
	run getfattr --absolute-names -d -m - "$A"
	assert_line 'user.aether.version="10"'
	assert_line 'user.aether.count="4"'
	assert_line --regexp '^user.aether.shard="[0-9]+"$'
}

@test "xattrs are read-only" {
	echo x >>"$A"
	assert_errno EPERM setxattr "$A" user.aether.version 9
	assert_errno EPERM setxattr "$A" user.other 9
	assert_errno EPERM removexattr "$A" user.aether.version
	assert_equal "$(getfattr --only-values --absolute-names -n user.aether.version "$A")" 1
}

@test "the shard is the same after a remount and below 1024" {
	echo x >>"$A"
	before="$(getfattr --only-values --absolute-names -n user.aether.shard "$A")"
	mount_stop
	mount_start
	assert_equal "$(getfattr --only-values --absolute-names -n user.aether.shard "$A")" "$before"
	((before >= 0 && before < 1024))
}

# The other user may pass every directory but write only where the modes allow it.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search "$@"
}

@test "the kernel enforces a namespace's mode" {
	mount_stop
	mount_start -o allow_other
	mkdir -m 755 "$M/modes"
	run as_nobody "$ERRNO_DO" append "$M/modes/a" $'x\n'
	assert_output EACCES
	chmod 777 "$M/modes"
	run as_nobody "$ERRNO_DO" append "$M/modes/a" $'x\n'
	assert_output OK
	run as_nobody "$ERRNO_DO" mkdir "$M/other"
	assert_output EACCES
}

@test "a read-only mount refuses with EROFS and shows everything" {
	echo x >>"$A"
	mount_start -n ro -o ro
	assert_equal "$(events "$D/ro/t/${A##*/}")" x
	assert_errno EROFS open "$D/ro/t/${A##*/}" WRONLY,APPEND
	assert_errno EROFS mkdir "$D/ro/new"
	mount_stop ro
}

@test "the memory store keeps events as long as the mount" {
	mount_start -n memory --store memory
	mkdir "$D/memory/ns"
	seq 100 >>"$D/memory/ns/a"
	assert_versions_1_to 100 "$D/memory/ns/a"
	mount_stop memory
	mount_start -n memory --store memory
	assert_equal "$(ls "$D/memory")" ''
	mount_stop memory
}

@test "events survive a remount byte for byte" {
	seq 1000 >>"$A"
	before="$(fingerprint "$A")"
	mount_stop
	mount_start
	assert_equal "$(fingerprint "$A")" "$before"
	echo more >>"$A"
	assert_versions_1_to 1001 "$A"
}
