#!/usr/bin/env bats
# -o delete: rm of actors and rmdir of full namespaces. A second mount does without the option.

load helper

setup_file() {
	mount_start -o delete,timeout=60
	mount_start -n other -o timeout=60
	mkdir "$N"
}

setup() {
	A="$N/a$BATS_TEST_NUMBER"
	B="$D/other/t/a$BATS_TEST_NUMBER"
	NS="$M/ns$BATS_TEST_NUMBER"
}

# unlisted DIRECTORY NAME
unlisted() {
	local names
	names="$(ls "$1")" && ! grep -qxF "$2" <<<"$names"
}

same_size() {
	[[ $(stat -c %s "$1") == "$(stat -c %s "$2")" ]]
}

@test "rm erases an actor" {
	printf '%s\n' one two >>"$A"
	rm "$A"
	assert_errno ENOENT stat "$A"
	assert_errno ENOENT read "$A"
	assert_errno ENOENT stat "$N/.aether/actors/${A##*/}"
	assert_equal "$(find "$N" -name "${A##*/}")" ''
}

@test "an erased actor is gone for the other mount at once" {
	echo x >>"$A"
	ls -l "$D/other/t" >/dev/null
	assert_equal "$(events "$B")" x
	rm "$A"
	assert_errno ENOENT read "$B"
	assert_errno ENOENT stat "$B"
	wait_for 10 unlisted "$D/other/t" "${A##*/}"
}

@test "an actor made anew begins with version 1, on both mounts" {
	for life in 1 2 3; do
		printf '%s\n' "$life a" "$life b" >>"$A"
		echo "$life c" >>"$B"
		assert_equal "$(events "$A")" "$life a"$'\n'"$life b"$'\n'"$life c"
		assert_equal "$(events "$B")" "$(events "$A")"
		assert_versions_1_to 3 "$B"
		assert_equal "$(version_of "$B")" 3
		wait_for 10 same_size "$A" "$B"
		rm "$A"
	done
}

@test "touch makes it anew, empty" {
	echo x >>"$A"
	rm "$A"
	touch "$B"
	assert_equal "$(fingerprint "$A")" "$(fingerprint "$B")"
	assert_equal "$(stat -c %s "$A") $(version_of "$A")" "0 0"
}

@test "an import into an erased name" {
	echo x >>"$A"
	rm "$A"
	printf '%s\n' one two >"$D/lines"
	cp "$D/lines" "$A"
	assert_equal "$(events "$B")" $'one\ntwo'
}

@test "an id of an erased event may be used again" {
	echo '{"eventType":"T","id":"i","data":{"life":1}}' >>"$B"
	rm "$A"
	echo '{"eventType":"T","id":"i","data":{"life":2}}' >>"$B"
	assert_equal "$(events "$A" '[.version, .data.life] | @csv')" 1,2
}

@test "numbered entries are those of the new life" {
	local control="$D/other/t/.aether/actors/${A##*/}"
	printf '%s\n' "a longer text" two three >>"$A"
	assert_equal "$(jq -r .data.text "$control/events/2") $(events "$control/from/2" | xargs)" "two two three"
	rm "$A"
	assert_errno ENOENT read "$control/events/2"
	assert_errno ENOENT read "$control/from/2"
	printf '%s\n' first second >>"$A"
	assert_equal "$(jq -r .data.text "$control/events/2") $(events "$control/from/2")" "second second"
	assert_equal "$(ls "$control/events")" $'1\n2'
	assert_errno ENOENT read "$control/events/3"
}

@test "what is open for reading is stale afterwards" {
	for i in {1..40}; do head -c 10000 /dev/zero | tr '\0' x; echo; done >>"$A"
	assert_errno ESTALE held-read "$A" "rm $A"
	echo new >>"$A"
	assert_errno ESTALE held-read "$A" "rm $A; echo newer >>$B"
	assert_equal "$(events "$A")" newer
}

@test "what is open on another mount is stale when it has heard of it" {
	printf '%s\n' one two >>"$A"
	assert_errno ESTALE held-read "$B" "rm $A; ! cat $B 2>/dev/null"
}

@test "who wrote to it before cannot write any more, who opens it begins anew" {
	run "$ERRNO_DO" steps "$A" one "!rm $A" two "!echo new >>$A" three
	assert_output --partial 'OK ENOENT ENOENT'
	assert_equal "$(events "$A")" new
}

@test "rm of what does not exist is ENOENT" {
	assert_errno ENOENT unlink "$A"
	echo x >>"$A"
	rm "$A"
	assert_errno ENOENT unlink "$A"
}

@test "without the option rm and rmdir are refused as ever" {
	echo x >>"$A"
	assert_errno EPERM unlink "$B"
	assert_errno ENOTEMPTY rmdir "$D/other/t"
	assert_equal "$(events "$A")" x
}

@test "control files cannot be removed" {
	echo x >>"$A"
	run rm -rf "$N/.aether" "$N/.aether/actors/${A##*/}/events/1" "$M/.aether/version"
	assert_failure
	assert_equal "$(version_of "$A")" 1
}

@test "rm of a namespace's actors, however many, and of the namespace" {
	mkdir "$NS"
	for i in {1..300}; do echo "$i" >>"$NS/$i"; done
	rm "$NS"/*
	assert_equal "$(ls -A "$NS" "$D/other/${NS##*/}")" "$NS:"$'\n\n'"$D/other/${NS##*/}:"
	rmdir "$D/other/${NS##*/}"
	wait_for 10 not test -e "$NS"
	assert_equal "$(find "$M" "$D/other" -maxdepth 1 -name "${NS##*/}")" ''
}

@test "rm -r of a namespace, which can be made again" {
	for life in 1 2; do
		mkdir "$NS"
		printf '%s\n' "$life" x | tee -a "$NS/a" >>"$NS/b"
		assert_equal "$(events "$D/other/${NS##*/}/a" | xargs) $(cd "$NS" && echo *)" "$life x a b"
		rm -r "$NS"
		assert_errno ENOENT stat "$NS"
	done
}

@test "rmdir of a full namespace erases what is in it" {
	mkdir "$NS"
	for i in {1..50}; do echo "$i" >>"$NS/$i"; done
	touch "$NS/empty"
	rmdir "$NS"
	wait_for 30 mkdir "$D/other/${NS##*/}" # it may know for a moment still what there was
	assert_equal "$(ls -A "$NS")" ''
	echo new >>"$D/other/${NS##*/}/7"
	assert_equal "$(events "$NS/7" '[.version, .data.text] | @csv')" '1,"new"'
}

@test "an open file of a namespace that was removed and made again" {
	mkdir "$NS"
	run "$ERRNO_DO" steps "$D/other/${NS##*/}/a" one "!rm -r $NS; mkdir $NS; echo other >>$NS/a" two
	assert_output --partial 'OK ENOENT'
	assert_equal "$(events "$NS/a")" other
}

@test "permissions of the directory are enforced" {
	local user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search)
	mount_start -n open --store memory -o delete,allow_other
	mkdir -m 755 "$D/open/closed"
	mkdir -m 777 "$D/open/free"
	echo x | tee -a "$D/open/closed/a" >>"$D/open/free/a"
	run "${user[@]}" rm -f "$D/open/closed/a"
	assert_failure
	"${user[@]}" rm -f "$D/open/free/a"
	assert_equal "$(find "$D/open" -name a)" "$D/open/closed/a"
	mount_stop open
}

@test "a read-only mount erases nothing" {
	mount_start -n ro -o ro,delete
	echo x >>"$A"
	assert_errno EROFS unlink "$D/ro/t/${A##*/}"
	assert_errno EROFS rmdir "$D/ro/t"
	mount_stop ro
}

@test "an erase survives a remount" {
	echo old >>"$A"
	rm "$A"
	echo new >>"$A-made-anew"
	rm "$A-made-anew"
	echo newer >>"$A-made-anew"
	mount_stop other
	mount_start -n other -o timeout=60,consistency=eventual
	assert_errno ENOENT read "$B"
	assert_equal "$(events "$B-made-anew")" newer
}
