#!/usr/bin/env bats
# Logging in: NKey, credentials file, TLS with certificates on both sides. The keys in tests/auth are for this alone.

load helper
load nodes

setup_file() {
	return
}

# Mount with the options, append and replay, and show the secret nowhere.
works_with() {
	mount_start --nats "$NATS_URL" "$@"
	mkdir "$N"
	echo hello >>"$A"
	assert_equal "$(events "$A")" hello
	mount_stop
}

refused_with() {
	run "$AETHER" mount "$M" --nats "$NATS_URL" -o "log=$M.log" "$@"
	assert_failure 1
	assert_output --partial NATS
}

teardown() {
	stop_all
	rm -rf "$D/nats"
}

@test "an NKey" {
	NATS_CONF="authorization { users: [ { nkey: $(tail -n 1 "$TESTS/auth/user.nkey") } ] }" nats_start
	mkdir -p "$M"
	refused_with
	works_with -o "nkey=$TESTS/auth/user.nkey"
}

@test "an NKey file without the public key is an error that says so" {
	nats_start
	mkdir -p "$M"
	head -n 1 "$TESTS/auth/user.nkey" >"$D/seed"
	refused_with -o "nkey=$D/seed"
	assert_output --partial 'public key'
	refute_output --partial "$(cat "$D/seed")"
}

@test "a credentials file" {
	NATS_CONF="$(cat "$TESTS/auth/operator.conf")" nats_start
	mkdir -p "$M"
	refused_with
	works_with -o "creds=$TESTS/auth/user.creds"
}

@test "TLS, each side verified" {
	cd "$D"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
	for side in server client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$side" -keyout "$side.key" -out "$side.csr"
		openssl x509 -req -in "$side.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$side.pem" \
			-extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost')
	done 2>/dev/null
	NATS_CONF="tls { cert_file: $D/server.pem, key_file: $D/server.key, ca_file: $D/ca.pem, verify: true }" nats_start
	mkdir -p "$M"
	refused_with
	refused_with -o "tlsca=$D/ca.pem"
	works_with -o "tlsca=$D/ca.pem,tlscert=$D/client.pem,tlskey=$D/client.key"
}

@test "a user who may not hear of streams mounts all the same, and the log says what it is not allowed" {
	NATS_CONF='authorization { users: [ { user: u, password: p, permissions: {
		publish: { deny: "aether.names" }, subscribe: { deny: ["aether.names", "$JS.EVENT.>"] } } } ] }' nats_start
	mount_start --nats "nats://u:p@${NATS_URL#nats://}" -o "log=$M.log"
	mkdir "$N"
	echo hello >>"$A"
	assert_equal "$(events "$A")" hello
	# shellcheck disable=SC2016 # the dollar is NATS'
	wait_for 20 grep -F 'WARN' "$M.log"
	grep -F '$JS.EVENT.ADVISORY.STREAM' "$M.log"
	mount_stop
}

# It has the lease to itself at first, and could lead those that it cannot hear.
@test "a user who may not listen to the cluster mounts all the same, and leads nobody" {
	NATS_CONF='authorization { users: [ { user: all, password: p }, { user: deaf, password: p, permissions: {
		publish: ">", subscribe: { deny: ["aether.cluster.>"] } } } ] }' nats_start
	mount_start --nats "nats://deaf:p@${NATS_URL#nats://}" -o "log=$M.log" --node-id deaf
	wait_for 20 grep -F 'takes no part in the cluster: NATS refuses to listen' "$M.log"
	mount_start -n other --nats "nats://all:p@${NATS_URL#nats://}" --node-id other
	wait_for 20 settled other 1
	assert_equal "$(cluster_of other leader)" other
	mkdir "$N"
	echo hello >>"$A"
	assert_equal "$(cat "$D/other/t/.aether/actors/a$BATS_TEST_NUMBER/owner")" other
	not node_is other deaf active
	assert_equal "$(ls "$N/.aether/owned")" ''
	mount_stop other
	mount_stop
}

@test "a user who may not write the cluster's bucket mounts all the same, owns nothing, and the log says why" {
	NATS_CONF='authorization { users: [ { user: u, password: p, permissions: {
		publish: { deny: "$KV.>" } } } ] }' nats_start
	mount_start --nats "nats://u:p@${NATS_URL#nats://}" -o "log=$M.log"
	mkdir "$N"
	echo hello >>"$A"
	assert_equal "$(events "$A")" hello
	wait_for 20 grep -F 'takes no part in the cluster' "$M.log"
	assert_equal "$(cat "$M/.aether/cluster/leader")" ''
	assert_equal "$(ls "$N/.aether/owned")" ''
	mount_stop
}
