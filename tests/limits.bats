#!/usr/bin/env bats
# What a server refuses: storage, message size, permissions.

load helper

setup_file() {
	export NATS_JETSTREAM='max_file_store: 4MB'
	export NATS_CONF='max_payload: 65536
		authorization { users: [
			{ user: all, password: all }
			{ user: reader, password: reader, permissions: { publish: { deny: ["aether.ev.>"] } } }
		] }'
	nats_start
	port="$(cat "$D/nats/port")"
	mount_start --nats "nats://all:all@127.0.0.1:$port" -o timeout=3
	mount_start -n reader --nats "nats://reader:reader@127.0.0.1:$port" -o timeout=3
	mkdir "$N"
}

@test "a line over this server's max_payload is EMSGSIZE" {
	echo first >>"$A"
	before="$(fingerprint "$A")"
	assert_errno EMSGSIZE append-stdin "$A" < <(head -c 70000 /dev/zero | tr '\0' x; echo)
	assert_equal "$(fingerprint "$A")" "$before"
	assert_errno OK append-stdin "$A" < <(head -c 50000 /dev/zero | tr '\0' x; echo)
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

@test "a full JetStream is ENOSPC, what is stored stays readable, and the daemon serves" {
	line="$(head -c 30000 /dev/zero | tr '\0' x)"
	for i in $(seq 200); do
		outcome="$("$ERRNO_DO" append "$A" "$i $line"$'\n')" || break
	done
	assert_equal "$outcome" ENOSPC
	assert_versions_1_to $((i - 1)) "$A"
	assert_errno ENOSPC append "$A" "again $line"$'\n'
	assert_versions_1_to $((i - 1)) "$A"
	assert_errno OK stat "$N"
}

@test "df shows the limit" {
	read -r size < <(df --block-size=1 --output=size "$M" | tail -n 1)
	assert_equal "$size" $((4 * 1024 * 1024))
}
