#!/usr/bin/env bats
# The checks of `make lint` fire.

load helper

setup_file() { :; }
teardown_file() { :; }

# A tree without a fault.
setup() {
	T="$BATS_TEST_TMPDIR/tree"
	mkdir -p "$T"/{store,fs,cluster,mount}
	echo '#include <nats/nats.h>' >"$T/store/jetstream.c"
	echo '#include "../store/store.h"' | tee "$T/fs/fs.c" "$T/cluster/ring.c" >/dev/null
	printf '#include "%s"\n' ../fs/fs.h ../cluster/ring.h ../store/store.h cli.h >"$T/mount/main.c"
	echo '#include <fuse3/fuse_lowlevel.h>' >>"$T/fs/fs.c"
}

arrows() {
	run "$TESTS/lint-arrows" "$T"
}

# fires FILE HEADER: a tree in which FILE includes HEADER is found out, and both are named.
fires() {
	echo "#include $2" >>"$T/$1"
	arrows
	assert_failure 1
	assert_output --partial "$1"
	assert_output --partial "$(tr -d '<>"' <<<"$2")"
}

@test "a tree without a fault passes" {
	arrows
	assert_success
	assert_output ''
}

@test "the project's own tree passes" {
	run "$TESTS/lint-arrows" "$TESTS/.."
	assert_success
}

@test "store must not include fs" { fires store/a.c '"../fs/fs.h"'; }
@test "store must not include cluster" { fires store/a.h '"../cluster/ring.h"'; }
@test "store must not include mount" { fires store/a.c '"mount/options.h"'; }
@test "fs must not include cluster" { fires fs/a.c '"../cluster/ring.h"'; }
@test "fs must not include mount" { fires fs/a.c '<mount/options.h>'; }
@test "cluster must not include fs" { fires cluster/a.c '"../fs/fs.h"'; }
@test "cluster must not include mount" { fires cluster/a.c '"../mount/cli.h"'; }
@test "fs must not include NATS" { fires fs/a.c '<nats/nats.h>'; }
@test "mount must not include NATS" { fires mount/a.c '<nats.h>'; }
@test "store's other files must not include NATS" { fires store/event.c '<nats/nats.h>'; }
@test "store must not include FUSE" { fires store/a.c '<fuse_lowlevel.h>'; }
@test "cluster must not include FUSE" { fires cluster/a.c '<fuse3/fuse.h>'; }
@test "white space around the include does not hide it" { fires fs/a.c ' "../cluster/ring.h"'; }
@test "an empty tree is not a good one" {
	rm -rf "${T:?}"/*/*
	arrows
	assert_failure 1
}
