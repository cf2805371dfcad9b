#!/usr/bin/env bats
# An actor beside a real file on ext4 under chattr +a: operation by operation, the same errno.

load helper

# The directory X is on ext4: the temporary directory if that is, else an image.
setup_file() {
	export X="$D/ext4"
	mkdir "$X"
	if [[ $(stat -f -c %T "$X") != ext2/ext3 ]]; then
		truncate -s 16M "$D/image"
		mkfs.ext4 -q "$D/image"
		mount -o loop "$D/image" "$X"
	fi
	mount_start
	mkdir "$N"
}

# Two files of one name with a line in them: E on ext4 under chattr +a, A the actor.
setup() {
	name="f$BATS_TEST_NUMBER"
	E="$X/$name" A="$N/$name"
	echo first >"$E"
	chattr +a "$E"
	echo first >>"$A"
}

teardown() {
	chattr -a "$E" 2>/dev/null || true
}

teardown_file() {
	chattr -f -R -a "$X" || true
	! mountpoint -q "$X" || umount "$X"
	stop_all
}

# same ERRNO OPERATION ARGUMENT...: both answer that; @ stands for the file, and @@ for its directory.
same() {
	local want=$1 op=$2 before
	before="$(fingerprint "$A")"
	shift 2
	local ours=("${@/#@@/$N}") theirs=("${@/#@@/$X}")
	assert_errno "$want" "$op" "${theirs[@]/#@/$E}"
	assert_errno "$want" "$op" "${ours[@]/#@/$A}"
	[[ $want == OK ]] || assert_equal "$(fingerprint "$A")" "$before"
}

@test "reading" { same OK read @; }
@test "open for reading" { same OK open @ RDONLY; }
@test "open for append" { same OK open @ WRONLY,APPEND; }
@test "open for reading and append" { same OK open @ RDWR,APPEND; }
@test "open for append with O_CREAT" { same OK open @ WRONLY,APPEND,CREAT; }
@test "open for append with O_SYNC" { same OK open @ WRONLY,APPEND,SYNC; }
@test "open for writing" { same EPERM open @ WRONLY; }
@test "open for reading and writing" { same EPERM open @ RDWR; }
@test "open for writing with O_CREAT" { same EPERM open @ WRONLY,CREAT; }
@test "open with O_TRUNC" { same EPERM open @ WRONLY,TRUNC; }
@test "open with O_TRUNC for append" { same EPERM open @ WRONLY,APPEND,TRUNC; }
@test "open with O_TRUNC for reading" { same EPERM open @ RDONLY,TRUNC; }
@test "open with O_CREAT and O_TRUNC" { same EPERM open @ WRONLY,CREAT,TRUNC; }
@test "open with O_CREAT and O_EXCL" { same EEXIST open @ WRONLY,APPEND,CREAT,EXCL; }
@test "open as a directory" { same ENOTDIR open @ RDONLY,DIRECTORY; }
@test "open of a name below it" { same ENOTDIR open @/x RDONLY; }
@test "truncate to nothing" { same EPERM truncate @ 0; }
@test "truncate to something longer" { same EPERM truncate @ 100000; }
@test "ftruncate of an append handle" { same EPERM ftruncate @ 0; }
@test "unlink" { same EPERM unlink @; }
@test "mkdir over it" { same EEXIST mkdir @; }
@test "rename" { same EPERM rename @ @@/renamed; }
@test "rename to itself" { same OK rename @ @; }
@test "link" { same EPERM link @ @@/linked; }
@test "symlink over it" { same EEXIST symlink x @; }
@test "chmod" { same EPERM chmod @ 600; }
@test "chown" { same EPERM chown @ 1 1; }
@test "times, explicit" { same EPERM utimens @ 1000000000; }
@test "times, now" { same OK utimens @ now; }
@test "setxattr" { same EPERM setxattr @ user.mine x; }
@test "removexattr" { same EPERM removexattr @ user.mine; }
@test "getxattr of one that is not there" { same ENODATA getxattr @ user.mine; }
@test "a missing name" { same ENOENT open @@/missing RDONLY; }
@test "unlink of a missing name" { same ENOENT unlink @@/missing; }
@test "rename of a missing name" { same ENOENT rename @@/missing @@/other; }
@test "taking O_APPEND away and writing" { same EPERM unappend @ $'x\n'; }

@test "rename of another file over it" {
	echo other >"$X/other$BATS_TEST_NUMBER"
	echo other >>"$N/other$BATS_TEST_NUMBER"
	same EPERM rename "@@/other$BATS_TEST_NUMBER" @
}

@test "write through an append handle" {
	same OK append @ $'second\n'
	assert_equal "$(events "$A")" "$(cat "$E")"
}

@test "pwrite through an append handle appends, whatever its offset" {
	same OK pwrite @ WRONLY,APPEND 0 $'second\n'
	same OK pwrite @ WRONLY,APPEND 100000 $'third\n'
	assert_equal "$(events "$A")" "$(cat "$E")"
}

# both EXIT COMMAND...: a program does the same with both; @ as above.
both() {
	local want=$1
	shift
	run "${@//@/$E}"
	[[ $status -eq $want ]] || fail "ext4: $* exited $status: $output"
	run "${@//@/$A}"
	[[ $status -eq $want ]] || fail "Aether: $* exited $status: $output"
	assert_equal "$(events "$A")" "$(cat "$E")"
}

@test "touch works" { both 0 touch @; }
@test "touch -d does not" { both 1 touch -d 2020-01-01 @; }
@test "rm -f does not" { both 1 rm -f @; }
@test "mv does not" { both 1 mv -f @ "$BATS_TEST_TMPDIR/moved"; }
@test "cp over it does not" { both 1 cp /etc/hostname @; }
@test "sed -i does not" { both 4 sed -i s/f/g/ @; }
@test "dd that appends works" { both 0 dd if=/etc/hostname of=@ oflag=append conv=notrunc status=none; }
@test "dd that overwrites does not" { both 1 dd if=/etc/hostname of=@ conv=notrunc status=none; }
@test "tee -a works" { both 0 bash -c 'echo more | tee -a @'; }
@test "tee does not" { both 1 bash -c 'echo more | tee @'; }
@test "truncate -s does not" { both 1 truncate -s 0 @; }
