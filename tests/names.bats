#!/usr/bin/env bats
# Which names can be namespaces and actors, and that each comes back as itself: here, after a remount, on another node.

load helper

setup_file() {
	mount_start
	mkdir "$N"
	mount_start -n other
}

# repeat TEXT COUNT
repeat() {
	printf "%0.s$1" $(seq "$2")
}

# The name works as an actor, and the other mount shows the same name and content.
works_as_actor() {
	echo "in <$1>" >>"$N/$1"
	assert_equal "$(events "$N/$1" '.actorId, .data.text')" "$1"$'\n'"in <$1>"
	assert_equal "$(cat "$D/other/t/$1")" "$(cat "$N/$1")"
	run find "$D/other/t" -mindepth 1 -maxdepth 1 -printf '%f\n'
	assert_line "$1"
	assert_equal "$(cat "$N/.aether/actors/$1/version")" 1
}

works_as_namespace() {
	mkdir "$M/$1"
	echo "of <$1>" >>"$M/$1/actor"
	assert_equal "$(events "$D/other/$1/actor")" "of <$1>"
	run find "$D/other" -mindepth 1 -maxdepth 1 -printf '%f\n'
	assert_line "$1"
	assert_errno ENOTEMPTY rmdir "$M/$1"
}

works() {
	works_as_actor "$1"
	works_as_namespace "$1"
}

# refused ERRNO NAME: neither an actor nor a namespace can be made with it.
refused() {
	assert_errno "$1" append "$N/$2" $'x\n'
	assert_errno "$1" mkdir "$M/$2"
	run find "$M" -mindepth 1 -name "$2"
	assert_output ''
}

@test "letters, digits, - _ ~" { works 'Order-123_x~'; }
@test "a dot" { works 'a.b'; }
@test "dots at the end and in a row" { works 'a..b.'; }
@test "*" { works '*'; }
@test ">" { works '>'; }
@test "* and > among letters" { works 'a*b>c'; }
@test "a space" { works ' '; }
@test "spaces inside and around" { works ' a b '; }
@test "ü" { works 'ü'; }
@test "%" { works '%'; }
@test "what looks encoded already" { works '%2E%zz'; }
@test "quotes, backslash, dollar" { works "a'b\"c\\d\$e\`f"; }
@test "? [ ] { } ; & # ! ," { works '?[x]{y};&#!,:@=+'; }
@test "日本語 🙂" { works '日本語 🙂'; }
@test "a leading dash" { works '-rf'; }
@test "U+0080 is no control character of ASCII" { works $'a\xc2\x80b'; }

@test "names that differ in case or in encoding are different actors" {
	for name in order Order 'o.rder' 'o%2Erder' 'o%2erder'; do
		echo "$name" >>"$N/$name"
	done
	for name in order Order 'o.rder' 'o%2Erder' 'o%2erder'; do
		assert_equal "$(events "$N/$name")" "$name"
	done
}

@test "255 bytes for an actor" { works_as_actor "$(repeat x 255)"; }
@test "255 bytes of dots and letters for an actor" { works_as_actor "x$(repeat . 254)"; }
@test "254 bytes of ü for an actor" { works_as_actor "$(repeat ü 127)"; }
@test "255 spaces for an actor" { works_as_actor "$(repeat ' ' 255)"; }
@test "128 bytes for a namespace" { works_as_namespace "$(repeat y 128)"; }
@test "128 bytes of ü for a namespace" { works_as_namespace "$(repeat ü 64)"; }
@test "128 spaces for a namespace" { works_as_namespace "$(repeat ' ' 128)"; }

@test "namespaces of 128 bytes that differ in their last byte only are two" {
	a="$(repeat ü 63)xa" b="$(repeat ü 63)xb"
	mkdir "$M/$a" "$M/$b"
	echo of-a >>"$M/$a/x"
	echo of-b >>"$M/$b/x"
	assert_equal "$(events "$M/$a/x") $(events "$M/$b/x")" 'of-a of-b'
}

@test "the longest names together" {
	ns="$(repeat ' ' 126)ü"
	actor="$(repeat '*' 255)"
	mkdir "$M/$ns"
	echo long >>"$M/$ns/$actor"
	assert_equal "$(events "$D/other/$ns/$actor" '.actorId + .data.text')" "${actor}long"
}

@test "an encoded name that is a namespace's prefix does not collide" {
	mkdir "$M/aether" "$M/ev" "$M/aether-ev"
	echo 1 >>"$M/aether/ev"
	echo 2 >>"$M/ev/aether"
	echo 3 >>"$M/aether-ev/x"
	assert_equal "$(cat "$M/aether/ev" "$M/ev/aether" "$M/aether-ev/x" | jq -r .data.text)" $'1\n2\n3'
}

@test "a leading dot is EPERM" {
	refused EPERM .hidden
	refused EPERM ...
	refused EPERM .Aether
}

@test "control characters are EINVAL" {
	for c in $'\x01' $'\t' $'\n' $'\r' $'\x1b' $'\x1f' $'\x7f'; do
		refused EINVAL "a${c}b"
	done
}

@test "names that are not UTF-8 are EILSEQ" {
	for bytes in $'\xff' $'a\x80' $'\xc0\xaf' $'\xe2\x82' $'\xed\xa0\x80' $'\xf4\x90\x80\x80'; do
		refused EILSEQ "$bytes"
	done
}

@test "256 bytes are ENAMETOOLONG for an actor" {
	assert_errno ENAMETOOLONG append "$N/$(repeat x 256)" $'x\n'
	assert_errno ENAMETOOLONG append "$N/$(repeat ü 128)" $'x\n'
}

@test "129 bytes are ENAMETOOLONG for a namespace" {
	assert_errno ENAMETOOLONG mkdir "$M/$(repeat y 129)"
	assert_errno ENAMETOOLONG mkdir "$M/$(repeat ü 65)"
	assert_errno ENAMETOOLONG mkdir "$M/$(repeat y 256)"
}

@test "a name that cannot exist does not exist" {
	assert_errno ENOENT stat "$N/no such actor"
	assert_errno ENOENT open "$M/no such namespace/x" RDONLY
	assert_errno ENOENT append "$M/no such namespace/x" $'x\n'
}

@test "all names are the same after a remount" {
	before="$(find "$M" -mindepth 1 | sort | sha256sum)"
	mount_stop other
	mount_stop
	mount_start
	mount_start -n other
	assert_equal "$(find "$M" -mindepth 1 | sort | sha256sum)" "$before"
	assert_equal "$(cd "$D/other" && find "$PWD" -mindepth 1 | sed "s|^$D/other|$M|" | sort | sha256sum)" "$before"
}
