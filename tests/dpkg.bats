#!/usr/bin/env bats
# A real event log: every line of the machine's dpkg logs in the actor of its package. On a machine with a short log,
# lines of the same form are made up to 3000.

load helper

LINES_WANTED=1000

setup_file() {
	mount_start
	mkdir "$M/dpkg"
	{ zcat -f /var/log/dpkg.log* 2>/dev/null || true; } >"$D/log"
	if [[ $(wc -l <"$D/log") -lt $LINES_WANTED ]]; then
		echo "# the machine's own dpkg log has $(wc -l <"$D/log") lines: more are made up" >&3
		made_up >>"$D/log"
	fi
	# Beside each line its package: the word after the action or after the state, without the architecture.
	awk '{ p = $3 == "status" ? $5 : $4; sub(/:.*/, "", p); print ($3 == "startup" ? "dpkg" : p) "\t" $0 }' "$D/log" |
		grep -v $'^\t' | grep -v '^[/.]' >"$D/tagged"
	mkdir "$D/expected"
	awk -F '\t' -v dir="$D/expected" '{ f = dir "/" $1; sub(/^[^\t]*\t/, ""); print >>f; close(f) }' "$D/tagged"
}

made_up() {
	seq 3000 | awk '{
		t = sprintf("2026-01-%02d %02d:%02d:%02d", $1 / 200 + 1, $1 % 24, $1 % 60, $1 % 59)
		p = "package-" $1 % 300 (($1 % 2) ? ":amd64" : ":all")
		if ($1 % 3 == 0) print t, "install", p, "<none>", "1." $1 "-1"
		else print t, "status", ($1 % 3 == 1 ? "half-configured" : "installed"), p, "1." $1 "-1"
	}'
}

@test "the log has thousands of lines or close to it, and many packages" {
	echo "# $(wc -l <"$D/tagged") lines, $(ls "$D/expected" | wc -l) packages" >&3
	(($(wc -l <"$D/tagged") >= LINES_WANTED && $(ls "$D/expected" | wc -l) >= 50))
}

@test "its first lines one by one, each appended to its package" {
	head -n 300 "$D/tagged" | while IFS=$'\t' read -r package line; do
		printf '%s\n' "$line" >>"$M/dpkg/$package"
	done
	head -n 300 "$D/tagged" | cut -f 1 | sort | uniq -c | while read -r count package; do
		diff <(events "$M/dpkg/$package") <(head -n "$count" "$D/expected/$package")
	done
}

@test "the others, many files open at the same time" {
	tail -n +301 "$D/tagged" | LC_ALL=C sort -s -t $'\t' -k 1,1 |
		awk -F '\t' -v dir="$M/dpkg" '{ f = dir "/" $1; if (last != "" && f != last) close(last); last = f
			sub(/^[^\t]*\t/, ""); print >>f }'
}

@test "every package has its history, line for line" {
	diff <(ls "$M/dpkg" | LC_ALL=C sort) <(ls "$D/expected" | LC_ALL=C sort)
	mkdir "$D/actual"
	jq -r '[.actorId, .data.text] | @tsv' "$M"/dpkg/* |
		awk -F '\t' -v dir="$D/actual" '{ f = dir "/" $1; print $2 >>f; close(f) }'
	diff -r "$D/actual" "$D/expected"
}

@test "every package's versions are 1, 2, 3 … up to the length of its history" {
	jq -n -e '[inputs | [.actorId, .version]] | group_by(.[0]) | all(map(.[1]) == [range(1; length + 1)])' "$M"/dpkg/* >/dev/null
	ls "$D/expected" | sed "s|.*|$M/dpkg/.aether/actors/&/version|" | xargs cat >"$D/versions"
	diff "$D/versions" <(cd "$D/expected" && wc -l -- * | awk '$2 != "total" { print $1 }')
}

@test "grep over all of them finds what the log has" {
	assert_equal "$(cat "$M"/dpkg/* | wc -l)" "$(wc -l <"$D/tagged")"
	assert_equal "$(grep -rh ' install ' "$M/dpkg" | wc -l)" "$(grep -c ' install ' "$D/tagged")"
}

@test "the histories are the same after a remount" {
	before="$(cat "$M"/dpkg/* | sha256sum)"
	mount_stop
	mount_start
	assert_equal "$(cat "$M"/dpkg/* | sha256sum)" "$before"
}
