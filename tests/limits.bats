#!/usr/bin/env bats
# What a server refuses: storage, message size, permissions.

load helper

# Account small may store 4 MB; account big as much as the server, which has 8 MB.
setup_file() {
	export NATS_JETSTREAM='max_file_store: 8MB'
	export NATS_CONF='max_payload: 65536
		accounts {
			small { jetstream: { max_file: 4MB }, users: [
				{ user: all, password: all }
				{ user: reader, password: reader, permissions: { publish: { deny: ["aether.ev.>"] } } } ] }
			big { jetstream: enabled, users: [{ user: big, password: big }] }
		}'
	nats_start
	port="$(cat "$D/nats/port")"
	mount_start --nats "nats://all:all@127.0.0.1:$port" -o timeout=3
	mount_start -n reader --nats "nats://reader:reader@127.0.0.1:$port" -o timeout=3
	mount_start -n big --nats "nats://big:big@127.0.0.1:$port" -o timeout=3
	mkdir "$N" "$D/big/t"
}

@test "a line over this server's max_payload is EMSGSIZE" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EMSGSIZE append-stdin "$A" < <(head -c 70000 /dev/zero | tr '\0' x; echo)
	assert_equal "$(fingerprint "$A")" "$before"
	assert_errno OK append-stdin "$A" < <(head -c 50000 /dev/zero | tr '\0' x; echo)
}

@test "a line that is over the limit only with its second write is refused, and its end is not stored alone" {
	half="$(head -c 50000 /dev/zero | tr '\0' x)"
	assert_errno EMSGSIZE append "$A" "$half" "$half"$'\n'
	"$ERRNO_DO" insist "$A" "$half" "$half"$'\n' "$half"$'\n' || true
	assert_equal "$(version_of "$A")" 0
}

# What a shell does with a line that is too long: its start fits, its middle does not, and its newline comes by itself.
@test "the start of a line that is too long is not stored with its newline" {
	half="$(head -c 50000 /dev/zero | tr '\0' x)"
	"$ERRNO_DO" insist "$A" "$half" "$half" $'\n' $'next\n' || true
	assert_equal "$(events "$A")" next
}

@test "more lines than one message holds are stored as several" {
	seq 5000 >>"$A"
	assert_versions_1_to 5000 "$A"
}

@test "a write that NATS refuses is EACCES" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EACCES append "$D/reader/t/${A##*/}" $'x\n'
	assert_equal "$(fingerprint "$A")" "$before"
	assert_equal "$(cat "$D/reader/t/${A##*/}")" "$(cat "$A")"
}

# Append until there is no room: ENOSPC, all before it is there and stays readable, and the daemon serves.
fill() {
	local line outcome i
	line="$(head -c 30000 /dev/zero | tr '\0' x)"
	for i in $(seq 400); do
		outcome="$("$ERRNO_DO" append "$1" "$i $line"$'\n')" || break
	done
	assert_equal "$outcome" ENOSPC
	assert_versions_1_to $((i - 1)) "$1"
	assert_errno ENOSPC append "$1" "again $line"$'\n'
	assert_versions_1_to $((i - 1)) "$1"
	assert_errno OK stat "$N"
	assert_errno OK stat "$D/big/t"
}

@test "an account that is full is ENOSPC, and a mount that has nothing of it yet reads it all" {
	fill "$A"
	cmp "$A" "$D/reader/t/${A##*/}"
}

@test "a server that is full is ENOSPC" { fill "$D/big/t/a"; }

@test "df shows the limit" {
	read -r size < <(df --block-size=1 --output=size "$M" | tail -n 1)
	assert_equal "$size" $((4 * 1024 * 1024))
}
