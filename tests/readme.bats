#!/usr/bin/env bats
# The README's commands do what it says.

load helper

setup_file() {
	export XDG_STATE_HOME="$D/xdg"
	mount_start --state-dir "$XDG_STATE_HOME/aether"
}

@test "every command of the README prints what it says" {
	mkdir -p "$D/clone/build"
	ln -sf "$(realpath "$AETHER")" "$D/clone/build/aether"
	ln -sfn "$TESTS" "$D/clone/tests"
	cd "$D/clone"
	run "$TESTS/console" "$TESTS/../README.md" "$M"
	assert_success
	assert_output --regexp '[0-9]+ commands$'
}

@test "the README's first screen has the two commands" {
	run head -n 40 "$TESTS/../README.md"
	assert_output --partial 'make run'
	assert_output --partial 'make stop'
}

document() {
	printf '%s\n' '```console' "$@" '```' >"$D/document.md"
	run "$TESTS/console" "$D/document.md" "$M"
}

@test "a document whose output differs is found out" {
	document '$ echo one' 'two'
	assert_failure 1
	document '$ echo one' 'one' 'two'
	assert_failure 1
	document '$ echo one'
	assert_failure 1
	document '$ echo one; false' 'o*e'
	assert_failure 1
}

@test "a document whose output is as written passes" {
	document '$ x=1; echo one "[a]"' 'one [a]' '$ echo $((x + 1)) /mnt/aether' '… /mnt/aether' '$ echo a \' '> b' 'a b'
	assert_success
	assert_output --partial '3 commands'
}

@test "a document without commands is found out" {
	printf '%s\n' '```sh' '$ exit 1' '```' >"$D/document.md"
	run "$TESTS/console" "$D/document.md" "$M"
	assert_failure 1
}
