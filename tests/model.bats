#!/usr/bin/env bats
# The model of a namespace: it is checked when it is written, kept to if it says so, drawn, and the same on every node.

load helper
load live

setup_file() {
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=3,delete
	mount_start -n other --nats "$NATS_URL" -o timeout=3
	mkdir "$N"
}

setup() {
	nats_back
	NS="m$BATS_TEST_NUMBER"
	mkdir "$M/$NS"
	MODEL="$M/$NS/.aether/model.json"
	OTHER="$D/other/$NS"
}

teardown_file() {
	stop_all
}

shop() {
	cp "$TESTS/models/order-shop.json" "$MODEL"
}

# A whole event of that type that the shop takes.
placed() {
	jq -nc '{eventType: "OrderPlaced", data: {customer: "Ada", items: [{sku: "x", quantity: 1, price: 1.10}], total: 1.10,
		address: {street: "s", city: "c", zip: "z"}}}'
}

# Is the last refusal that this mount tells of this one?
refused_because() {
	assert_equal "$(tail -n 1 "$M/$NS/.aether/conflicts" | jq -r .reason)" "$1"
}

@test "the example is taken as it is, and shown on every node" {
	assert_equal "$(cat "$MODEL")" ''
	shop
	cmp "$TESTS/models/order-shop.json" "$MODEL"
	cmp "$MODEL" "$OTHER/.aether/model.json"
}

@test "what the example declares can be appended, and the reason why something else cannot is told" {
	shop
	placed >>"$M/$NS/order-1"
	assert_errno EINVAL append "$M/$NS/order-1" "$(placed | jq -c '.data.total = "1"')"$'\n'
	refused_because 'OrderPlaced: $.total must be a number'
	assert_errno EINVAL append "$M/$NS/order-1" '{"eventType":"Nope","data":{}}'$'\n'
	refused_because 'aggregate Order (order-*) does not declare event type "Nope"'
	assert_errno EINVAL append "$M/$NS/other-1" $'a text\n'
	refused_because "no aggregate's actors match \"other-1\""
	assert_equal "$(version_of "$M/$NS/order-1")" 1
	grep -q "order-1.*aggregate Order (order-\*) does not declare" "$M.log"
}

@test "one bad line refuses the whole write" {
	shop
	assert_errno EINVAL append "$M/$NS/order-1" "$(placed)"$'\n{"eventType":"OrderConfirmed","data":{}}\n'
	assert_equal "$(stat -c %s "$M/$NS/order-1")" 0
}

@test "what is no model is EINVAL with the path of the first fault, and the one before stays" {
	shop
	for text in '[]' 'text' '{"enforce":1}' '{"aggregates":[{"name":"A","events":["Nope"]}]}' '{} {}' '{"events":[{"name":"E","fields":{"a":"strng"}}]}'; do
		assert_errno EINVAL write "$MODEL" WRONLY,TRUNC "$text"
	done
	tail -n 1 "$M/$NS/.aether/conflicts" | jq -r .reason | grep -qF '$.events[0].fields.a: no type is called "strng"'
	printf '{"enforce":' >"$D/half"
	run cp "$D/half" "$MODEL"
	assert_failure
	cmp "$TESTS/models/order-shop.json" "$MODEL"
}

@test "without enforce anything may be appended" {
	jq '.enforce = false' "$TESTS/models/order-shop.json" >"$MODEL"
	echo 'a text' >>"$M/$NS/anything"
	assert_equal "$(version_of "$M/$NS/anything")" 1
}

@test "a change is kept to on the other node at once" {
	echo 'a text' >>"$OTHER/anything"
	shop
	wait_for 30 assert_errno EINVAL append "$OTHER/anything" $'a text\n'
	echo '{}' >"$D/other/$NS/.aether/model.json"
	wait_for 30 assert_errno OK append "$M/$NS/anything" $'a text\n'
}

@test "a request without a mount is kept to it as well" {
	shop
	# Of another actor: before it is kept to, it stores.
	wait_for 30 assert_errno EINVAL append "$OTHER/order-0" $'a text\n'
	assert_equal "$(ask "aether.append.$NS.order-1" 'a text' | jq -r .code)" EINVAL
	assert_equal "$(ask "aether.append.$NS.order-1" "$(placed)" | jq -r .version)" 1
}

@test "it is kept to after a restart of everything" {
	shop
	mount_stop
	nats_kill
	nats_start
	mount_start --nats "$NATS_URL" -o timeout=3,delete
	assert_errno EINVAL append "$M/$NS/order-1" $'a text\n'
	placed >>"$M/$NS/order-1"
	mount_stop other
	mount_start -n other --nats "$NATS_URL" -o timeout=3
}

@test "what changed while the connection was lost is kept to afterwards" {
	shop
	wait_for 30 assert_errno EINVAL append "$OTHER/order-1" $'a text\n'
	nats_kill
	nats_start
	echo '{}' >"$D/loose"
	wait_for 30 cp "$D/loose" "$MODEL"
	wait_for 30 assert_errno OK append "$OTHER/order-1" $'a text\n'
}

@test "every model that was is kept, by its number" {
	for i in 1 2 3; do
		jq -n --arg text "question $i" '{hotspots: [{text: $text}]}' >"$MODEL"
	done
	mapfile -t numbers < <(ls -v "$M/$NS/.aether/models")
	assert_equal "${#numbers[@]}" 3
	for i in 1 2 3; do
		assert_equal "$(jq -r '.hotspots[0].text' "$OTHER/.aether/models/${numbers[i - 1]}")" "question $i"
	done
	cmp "$M/$NS/.aether/models/${numbers[2]}" "$MODEL"
	assert_errno ENOENT stat "$M/$NS/.aether/models/$((numbers[2] + 1))"
	assert_errno EINVAL stat "$M/$NS/.aether/models/x"
}

@test "a namespace that is made anew has no model" {
	shop
	rmdir "$M/$NS"
	mkdir "$M/$NS"
	assert_equal "$(cat "$MODEL")" ''
	echo 'a text' >>"$M/$NS/anything"
	wait_for 30 assert_errno OK append "$OTHER/anything" $'a text\n'
}

@test "the picture can be drawn, with and without a model" {
	dot -Tsvg "$M/$NS/.aether/model.dot" >"$D/none.svg"
	shop
	dot -Tsvg "$M/$NS/.aether/model.dot" >"$D/shop.svg"
	for text in OrderPlaced PlaceOrder 'Payment provider' 'Order history'; do
		grep -qi "$text" "$D/shop.svg"
	done
}

@test "who may not append may not change it, and nobody changes the picture" {
	mkdir -m 700 "$M/$NS-closed"
	assert_equal "$(stat -c %a "$M/$NS-closed/.aether/model.json")" 600
	assert_errno EPERM append "$M/$NS/.aether/model.dot" 'graph {}'
	assert_errno EPERM unlink "$MODEL"
	assert_errno EPERM append "$M/$NS/.aether/models/1" '{}'
}

@test "without NATS it is neither read nor changed" {
	shop
	nats_kill
	assert_errno ETIMEDOUT write "$MODEL" WRONLY,TRUNC '{}'
	assert_errno ETIMEDOUT read "$MODEL"
}
