#!/usr/bin/env bats
# One request, or its answer, is lost, as by servers whose leader changes: it is asked again before the time is over.

load helper
load live

# A try is waited for 2 seconds.
TIMEOUT=8

setup_file() {
	nats_start
	/usr/bin/python3 "$TESTS/clients/lossy.py" "$(cat "$D/nats/port")" "$D/orders" >"$D/lossy.port" 2>"$D/lossy.err" 3>&- 4>&- &
	echo $! >"$D/lossy"
	disown
	wait_for 20 test -s "$D/lossy.port"
	mount_start --nats "nats://127.0.0.1:$(cat "$D/lossy.port")" -o "timeout=$TIMEOUT,delete"
	mkdir "$N"
}

teardown_file() {
	stop_all
	kill "$(cat "$D/lossy")"
}

# lose WHAT SUBJECT: the next request to it, or the answer to that.
lose() {
	echo "$1 $2" >"$D/orders"
}

# It has been lost.
lost() {
	[[ ! -s $D/orders ]] || fail "nothing was lost: $(cat "$D/orders")"
}

@test "mkdir" {
	for what in request answer; do
		lose "$what" '$JS.API.STREAM.CREATE'
		assert_errno OK mkdir "$M/made-$what"
		lost
		assert_errno EEXIST mkdir "$M/made-$what"
	done
}

@test "rmdir: each of its questions" {
	for what in request answer; do
		for step in STREAM.INFO STREAM.UPDATE STREAM.DELETE; do
			[[ $what/$step != request/STREAM.DELETE ]] || continue
			mkdir "$M/gone-$what-$step"
			lose "$what" "\$JS.API.$step"
			assert_errno OK rmdir "$M/gone-$what-$step"
			lost
			assert_errno ENOENT stat "$M/gone-$what-$step"
			assert_errno OK mkdir "$M/gone-$what-$step"
		done
	done
}

# make_anew CONFIG: another client makes the namespace anew; refused as long as the old one is there.
make_anew() {
	ask '$JS.API.STREAM.CREATE.aether-anew' "$1" | jq -e .did_create
}

# Whose answer is lost, while another client makes it anew: what there is then is another namespace.
@test "rmdir: what was made anew meanwhile stays" {
	local config
	mkdir "$M/anew"
	config="$(ask '$JS.API.STREAM.INFO.aether-anew' | jq -c '.config | .description |= (fromjson | .nonce = "another" | tojson)')"
	lose answer '$JS.API.STREAM.DELETE'
	"$ERRNO_DO" rmdir "$M/anew" >"$D/rmdir" 3>&- &
	# Not before the server has answered: until then 2.9 takes away files of what was made anew, too.
	wait_for 10 lost
	wait_for 10 make_anew "$config"
	/usr/bin/python3 "$TESTS/clients/append.py" "$(cat "$D/nats/port")" anew <<<'a kept'
	wait $!
	assert_equal "$(cat "$D/rmdir")" OK
	assert_equal "$(events "$M/anew/a")" kept
}

# It might come late, and then meet a namespace that was made anew; so nobody sends it again for some seconds.
@test "rmdir: a deletion that does not reach the server is done later, by whoever looks" {
	mkdir "$M/later"
	lose request '$JS.API.STREAM.DELETE'
	assert_errno ETIMEDOUT rmdir "$M/later"
	lost
	wait_for 30 assert_errno ENOENT stat "$M/later"
	assert_errno OK mkdir "$M/later"
	assert_errno OK append "$M/later/a" $'1\n'
}

@test "rmdir: the probe behind its fence, and who is in it" {
	for what in request answer; do
		mkdir "$M/fenced-$what"
		lose "$what" "aether.rm.fenced-$what"
		assert_errno OK rmdir "$M/fenced-$what"
		lost
		assert_errno OK mkdir "$M/fenced-$what"
		echo 1 >>"$M/fenced-$what/a"
		rm "$M/fenced-$what/a"
		lose "$what" '$JS.API.DIRECT.GET'
		assert_errno OK rmdir "$M/fenced-$what"
		lost
		assert_errno ENOENT stat "$M/fenced-$what"
	done
}

@test "an append: lost, or told to be a duplicate of what is being stored; it is there once" {
	for what in request answer doubt; do
		lose "$what" aether.ev.t.
		echo "$what" >>"$A"
		lost
		lose "$what" aether.ev.t.
		echo "{\"eventType\":\"Step\",\"id\":\"$what\"}" >>"$A"
		lost
	done
	assert_equal "$(events "$A" '.data.text // .id' | uniq -c | xargs)" '2 request 2 answer 2 doubt'
}

@test "chmod" {
	for what in request answer; do
		for step in STREAM.INFO STREAM.UPDATE; do
			chmod 700 "$N"
			lose "$what" "\$JS.API.$step"
			chmod 755 "$N"
			lost
			assert_equal "$(stat -c %a "$N")" 755
		done
	done
}

@test "a snapshot, a model, and how it was at a time" {
	echo 1 >>"$A"
	for what in request answer; do
		lose "$what" aether.snapshot
		echo "{\"actorId\":\"${A##*/}\",\"version\":1,\"state\":{\"n\":1},\"timestamp\":\"2026-11-27T08:00:00Z\"}" >"$N/.aether/actors/${A##*/}/snapshot"
		lost
		lose "$what" aether.model
		echo "{\"events\":[{\"name\":\"E-$what\"}]}" >"$N/.aether/model.json"
		lost
		lose "$what" '$JS.API.CONSUMER.CREATE'
		assert_equal "$(events "$N/.aether/actors/${A##*/}/at/$(date -u +%FT%T.%NZ)")" 1
		lost
	done
	assert_equal "$(find "$N/.aether/models" -type f | wc -l)" 2
}

# Servers pass a message on before they have stored it, and are asked for it then.
@test "a change of the model that is heard of before it is stored" {
	mkdir "$M/early"
	echo '{}' >"$N/.aether/model.json" # so that there is a stream
	lose early aether.model.early
	ask aether.model.early '{"enforce":true}' | jq -e .seq
	wait_for 30 assert_errno EINVAL append "$M/early/a" $'text\n'
	lost
}

# As between servers, without a connection that is lost.
@test "a change of the model that is never heard of" {
	mkdir "$M/unheard"
	echo '{}' >"$N/.aether/model.json" # so that there is a stream
	mount_start -n fresh --nats "nats://127.0.0.1:$(cat "$D/lossy.port")" -o "timeout=$TIMEOUT"
	lose hint aether.model.unheard
	ask aether.model.unheard '{"enforce":true}' | jq -e .seq
	assert_errno OK append "$D/fresh/unheard/a" $'text\n'
	wait_for 60 assert_errno EINVAL append "$D/fresh/unheard/a" $'text\n'
	: >"$D/orders"
	mount_stop fresh
}

@test "an erased actor" {
	for what in request answer; do
		for i in {1..3}; do echo "$i" >>"$A-$what"; done
		lose "$what" '$JS.API.STREAM.MSG.DELETE|$JS.API.STREAM.PURGE'
		assert_errno OK unlink "$A-$what"
		lost
		assert_errno ENOENT stat "$A-$what"
	done
	not grep 'still in NATS' "$D/mnt.log"
}

fed() {
	[[ -s $D/feed ]] || { echo before >>"$A" && false; }
}

has_both() {
	grep -q after "$D/feed" && seen MODIFY "${A##*/}-new"
}

# As of one at a server whose copy of the stream stands still: it answers, and has nothing. An administrator may make it so.
@test "a consumer that does not know what it should bring is given up" {
	local name config
	watch "$N"
	cat "$N/.aether/events" >"$D/feed" 3>&- &
	wait_for 20 fed
	for name in $(ask '$JS.API.CONSUMER.NAMES.aether-t' | jq -r '.consumers[]'); do
		config="$(ask "\$JS.API.CONSUMER.INFO.aether-t.$name" | jq -c '.config | .filter_subject = "aether.ev.t.nobody"')"
		ask "\$JS.API.CONSUMER.CREATE.aether-t.$name.aether.ev.t.nobody" "{\"stream_name\":\"aether-t\",\"config\":$config,\"action\":\"update\"}" |
			jq -e .created
	done
	echo 'new after' | sed "s/^/${A##*/}-/" | /usr/bin/python3 "$TESTS/clients/append.py" "$(cat "$D/nats/port")" t
	not has_both
	wait_for 60 has_both
	kill $!
	watch_end
	assert_equal "$(grep -c after "$D/feed")" 1
}
