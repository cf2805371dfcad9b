#!/usr/bin/env bats
# Who walks the tree comes to an end, and meets namespaces and actors only: grep -r, find, du, tar, rsync, cp -r.

load helper

setup_file() {
	mount_start
	export I="$D/into" # another file system, to copy into
	mount_start -n into -o prefix=into
	mkdir "$N" "$M/empty" "$M/a b" "$M/*.*" "$M/%2E>" "$M/-n" "$M/ü"
	for ns in "$N" "$M/a b" "$M/*.*" "$M/%2E>" "$M/-n" "$M/ü"; do
		for name in plain -rf '* ?' 'back\slash' "it's" '%2F' 'ü.txt'; do seq 3 >>"$ns/$name"; done
		touch "$ns/nothing yet"
	done
	# The hidden files have been used: the kernel knows their names.
	cat "$N/.aether/actors/plain"/{version,state,events/2,from/2} "$N/.aether/at/$(date -u +%FT%T.%NZ)/plain" "$M/.aether/status" >"$D/read"
	ls "$N/.aether" "$N/.aether/actors" "$N/.aether/actors/plain/events" "$M/.aether/cluster" >>"$D/read"
	for ns in 'a b' '*.*' '%2E>' -n ü t; do
		printf '%s\n' "$ns" "$ns"/{plain,-rf,'* ?','back\slash',"it's",'%2F','ü.txt','nothing yet'}
	done | sort >"$D/actors"
	{ cat "$D/actors"; echo empty; } | sort >"$D/tree"
}

# walked COMMAND...: the paths below the mount that it prints, one a line, are the tree.
walked() {
	cd "$M" || return
	timeout 100 "$@" | sed 's:^\./::; s:/$::' | grep -vxF . | sort | diff - "$D/tree"
}

@test "find" {
	walked find .
	walked find . -mount -noleaf
}

@test "grep -r reads every event once" {
	cd "$M" || return
	timeout 100 grep -rZc '' . | sed 's:^\./::' | tr '\0' ' ' | sort >"$D/counts"
	diff "$D/counts" <(grep / "$D/actors" | sed '/nothing yet/ s/$/ 0/; /nothing yet/! s/$/ 3/' | sort)
	assert_equal "$(timeout 100 grep -Rl '"text":"2"' "$M" | wc -l)" 42
}

@test "du -a" {
	cd "$M" || return
	timeout 100 du -a . | cut -f 2 | sed 's:^\./::' | grep -vxF . | sort | diff - "$D/tree"
}

@test "tar c" {
	cd "$M" || return
	timeout 100 tar -cf "$D/all.tar" .
	tar --quoting-style=literal -tf "$D/all.tar" | sed 's:^\./::; s:/$::' | grep -v '^$' | sort | diff - "$D/tree"
	tar -df "$D/all.tar"
}

# mirror OPTION...: rsync of the whole mount to D/mirror; prints what it transferred, one file a line. (A namespace's time is that of
# its last event, so a directory's may be set again.)
mirror() {
	timeout 100 rsync -a --out-format=%n "$@" "$M/" "$D/mirror/" | grep -v '/$' || true
}

@test "rsync -a, and the second time nothing but what is new" {
	mirror | sort | diff - <(grep / "$D/actors")
	(cd "$D/mirror" && find . -mindepth 1 -printf '%P\n') | sort | diff - "$D/tree"
	diff -r "$M" "$D/mirror"
	assert_equal "$(mirror)" ''
	assert_equal "$(mirror --checksum)" ''
	echo 4 >>"$M/a b/plain"
	assert_equal "$(mirror)" 'a b/plain'
	diff -r "$M" "$D/mirror"
}

@test "cp -r, with times and modes" {
	timeout 100 cp -r --preserve=timestamps,mode "$M" "$D/copy"
	diff -r "$M" "$D/copy"
	diff <(cd "$M" && find . -type f -printf '%P %m %s %T@\n' | sort) <(cd "$D/copy" && find . -type f -printf '%P %m %s %T@\n' | sort)
}

@test "cp -r of a namespace into another mount copies it byte for byte, and only once" {
	cp -r "$N" "$I/copied"
	diff -r "$N" "$I/copied"
	assert_equal "$(version_of "$I/copied/it's")" 3
	run cp -r "$N/." "$I/copied"
	assert_failure
	diff -r "$N" "$I/copied"
}

@test "rsync into a namespace is refused: it writes under another name first" {
	mkdir "$I/refused"
	echo 1 >>"$I/refused/plain"
	before="$(fingerprint "$I/refused/plain")"
	run -23 rsync -a "$N/" "$I/refused/"
	assert_equal "$(ls -A "$I/refused")" plain
	assert_equal "$(fingerprint "$I/refused/plain")" "$before"
}

@test "with a directory for these names elsewhere it imports what is new" {
	rsync -r --temp-dir="$D" "$N/" "$I/imported/"
	diff -r "$N" "$I/imported"
	run -23 rsync -r --temp-dir="$D" --ignore-times "$N/" "$I/imported/"
	cp -r "$N" "$D/more"
	echo 1 >"$D/more/new"
	rsync -r --temp-dir="$D" --ignore-existing "$D/more/" "$I/imported/"
	assert_equal "$(events "$I/imported/new")" 1
	rm "$D/more/new"
	diff -r -x new "$N" "$I/imported"
}
