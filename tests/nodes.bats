#!/usr/bin/env bats
# The cluster: nodes find each other, one leads, shards are shared out, and what each owns is in its tree.

load helper
load live
load nodes

setup_file() {
	mount_start --node-id one
	mkdir "$N"
	for i in {1..60}; do echo "$i" >>"$N/a$i"; done
}

# Every test begins with one, alone.
setup() {
	wait_for 30 settled mnt 1
}

teardown() {
	watch_end
	local m
	for m in two three; do
		[[ ! -e $D/$m.pid || -s $D/$m.rc ]] || mount_stop "$m"
		rm -f "$D/$m.pid"
		! mounted "$D/$m" || umount -l "$D/$m"
	done
}

@test "a node alone leads and owns everything" {
	assert_equal "$(cluster_of mnt self)" one
	wait_for 30 agree mnt
	assert_equal "$(cluster_of mnt leader)" one
	wait_for 30 shared_out mnt
	assert_equal "$(owned_by mnt | wc -l)" 60
}

@test "a second node: both know it, and share the shards" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	assert_equal "$(cluster_of two self)" two
	node_is mnt two active
	node_is two one active
	assert_equal "$(count_of mnt two)" 512
	wait_for 30 shared_out mnt two
}

@test "a node that is unmounted is gone at once" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	mount_stop two
	wait_for 2 not test -e "$M/.aether/cluster/nodes/two"
	wait_for 30 settled mnt 1
}

# The leader knows of it before it is told so itself.
@test "a node that is unmounted when it has just been mounted is gone at once, too" {
	local id
	for _ in {1..8}; do
		mount_start -n two
		id="$(cluster_of two self)"
		mount_stop two
		wait_for 2 not grep -q " $id" "$M/.aether/cluster/shards"
		assert_equal "$(cat "$M/.aether/cluster/nodes/$id" 2>/dev/null)" ''
	done
}

@test "a node that is killed has failed, and others own what it did" {
	mount_start -n two --node-id two
	mount_start -n three --node-id three
	wait_for 30 settled mnt 3
	mount_kill two
	wait_for 30 node_is mnt two failed
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt three
	assert_equal "$(count_of three two)" 0
	wait_for 30 shared_out mnt three
}

@test "the leader is killed: another leads, and shards of the others stay where they are" {
	mount_start -n two --node-id two
	wait_for 30 settled two 2
	mount_start -n three --node-id three
	wait_for 30 settled two 3
	before="$(cluster_of two shards)"
	mount_kill
	wait_for 30 not grep -qx one "$D/two/.aether/cluster/leader"
	wait_for 30 settled two 2
	wait_for 30 agree two three
	# All that differs was the old leader's.
	assert_equal "$(diff <(echo "$before") <(cluster_of two shards) | awk '/^</ { print $3 }' | sort -u)" one
	umount -l "$M"
	mount_start --node-id one
	wait_for 30 settled mnt 3
}

@test "a node that was stopped for longer than that owns nothing when it goes on, and comes back" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	kill -STOP "$(cat "$D/two.pid")"
	wait_for 30 node_is mnt two failed
	wait_for 30 settled mnt 1
	kill -CONT "$(cat "$D/two.pid")"
	# It must not say that it owns anything until it has been taken in again.
	[[ $(owned_by two | wc -l) -eq 0 || $(cluster_of two nodes/two | jq -r .state) == active ]]
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	wait_for 30 shared_out mnt two
}

@test "a leader that was stopped does not lead when it goes on" {
	mount_start -n two --node-id two
	wait_for 30 agree mnt two
	kill -STOP "$(cat "$D/mnt.pid")"
	wait_for 30 grep -qx two "$D/two/.aether/cluster/leader"
	wait_for 30 settled two 1
	kill -CONT "$(cat "$D/mnt.pid")"
	wait_for 30 settled two 2
	wait_for 30 agree mnt two
	assert_equal "$(cluster_of mnt leader)" two
}

@test "a second node of the same id is refused, and the first is not disturbed" {
	mkdir -p "$D/two"
	run -1 "$AETHER" mount "$D/two" --state-dir "$D/state" --node-id one -o "log=$D/two.log"
	assert_output --partial "there is a node with the id one already: process $(cat "$D/mnt.pid")"
	not mounted "$D/two"
	settled mnt 1
	assert_equal "$(cluster_of mnt nodes/one | jq -r .state)" active
}

@test "a node that was killed may come back at once under its id" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	mount_kill two
	umount -l "$D/two"
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	node_is two two active
}

@test "a node without a mount owns shards, and gives them up when it is told to end" {
	"$AETHER" node --state-dir "$D/state" --node-id four >"$D/four.out" 2>"$D/four.log" 3>&- 4>&- &
	pid=$!
	wait_for 30 grep -qx four "$D/four.out"
	wait_for 30 settled mnt 2
	assert_equal "$(count_of mnt four)" 512
	kill -TERM "$pid"
	wait "$pid"
	wait_for 10 settled mnt 1
	wait_for 10 not test -e "$M/.aether/cluster/nodes/four"
	sanitizer_reports
}

# has_open PROCESS FILE
has_open() {
	local fd
	for fd in "/proc/$1/fd"/*; do
		[[ $(readlink "$fd") != "$2" ]] || return 0
	done
	return 1
}

@test "events: what happens in the cluster, as it happens" {
	cat "$M/.aether/cluster/events" >"$D/events" 3>&- &
	reader=$!
	wait_for 30 has_open "$reader" "$M/.aether/cluster/events"
	mount_start -n two --node-id two
	wait_for 30 grep -q '"event":"shards"' "$D/events"
	mount_stop two
	wait_for 30 grep -q '"event":"left","node":"two"' "$D/events"
	kill "$reader"
	assert_equal "$(jq -r 'select(.node == "two").event' "$D/events" | xargs)" 'joined left'
	jq -e 'select(.timestamp | fromdateiso8601? // true)' "$D/events" >/dev/null
}

@test "inotify on owned tells of what comes and goes with the shards" {
	wait_for 30 shared_out mnt
	watch "$N/.aether/owned"
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 shared_out mnt two
	wait_for 30 same_as_gone two
	: >"$D/seen"
	mount_stop two
	wait_for 30 settled mnt 1
	wait_for 30 came_back
}

# Was a DELETE seen of each actor that the other mount owns?
same_as_gone() {
	diff <(awk '$1 == "DELETE" { print $2 }' "$D/seen" | sort) <(owned_by "$1" | tee "$D/moved")
}

came_back() {
	diff <(awk '$1 == "CREATE" { print $2 }' "$D/seen" | sort) "$D/moved"
}

@test "inotify on owned tells of new actors that are owned, and of no others" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	watch "$N/.aether/owned"
	for i in {1..40}; do
		echo "$i" >>"$N/new$i"
		echo "$i" >>"$D/two/t/other$i"
	done
	wait_for 30 told_of_new
}

# All that holds the namespace is that watch.
@test "a watch on owned alone goes on when the kernel forgets the directories above it" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	watch "$N/.aether/owned"
	seq 200 | sed "s|.*|$D/two/t/forget&|" | xargs touch
	wait_for 30 eval '[[ $(awk "\$1 == \"CREATE\"" "$D/seen" | wc -l) -ge 70 ]]'
	# The kernel drops what nobody uses of that mount; by the old system call, as the new one passes options that FUSE refuses.
	LIBMOUNT_FORCE_MOUNT2=always mount -i -o remount "$M"
	for i in {1..20}; do echo "$i" >>"$D/two/t/kept$i"; done
	wait_for 30 told_of_kept
}

# By the other mount: a look at this one would make the namespace known again.
told_of_kept() {
	diff <(awk '$1 == "CREATE" { print $2 }' "$D/seen" | grep '^kept' | sort) \
		<(comm -23 <(printf 'kept%d\n' {1..20} | sort) <(owned_by two))
}

told_of_new() {
	diff <(awk '$1 == "CREATE" { print $2 }' "$D/seen" | sort) <(owned_by mnt | grep -E '^(new|other)')
}

@test "owned: links that lead to the actors; nobody can change what is there" {
	link="$N/.aether/owned/a1"
	assert_equal "$(readlink "$link")" ../../a1
	diff "$link" "$N/a1"
	assert_errno EPERM unlink "$link"
	run -1 ln -s x "$N/.aether/owned/x"
	assert_output --partial 'Operation not permitted'
	run -1 touch "$N/.aether/owned/x"
	assert_errno ENOENT stat "$N/.aether/owned/nobody"
	assert_equal "$(find "$M" -name owned)" ''
}

@test "shard and owner of an actor, as files and as attributes" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	for a in a1 a2 a3 a4 a5 a6 a7 a8; do
		shard="$(cat "$N/.aether/actors/$a/shard")"
		owner="$(cluster_of mnt shards | awk -v s="$shard" '$1 == s { print $2 }')"
		assert_equal "$(cat "$N/.aether/actors/$a/owner" "$D/two/t/.aether/actors/$a/owner" | xargs)" "$owner $owner"
		assert_equal "$(getfattr --only-values -n user.aether.owner "$N/$a")" "$owner"
		assert_equal "$(getfattr --only-values -n user.aether.shard "$N/$a")" "$shard"
	done
}

@test "aether cluster: tables, and JSON" {
	mount_start -n two --node-id two
	wait_for 30 settled mnt 2
	wait_for 30 agree mnt two
	run -0 "$AETHER" cluster nodes "$M"
	assert_line --regexp '^NODE +STATE +ROLE +SHARDS +SINCE +HOST +PID +VERSION$'
	assert_line --regexp "^one +active +leader, this node +512 +20.*Z +[^ ]+ +$(cat "$D/mnt.pid") "
	assert_line --regexp "^two +active +- +512 +20"
	assert_equal "$("$AETHER" cluster nodes --json "$M" | jq -c 'map([.id, .state, .leader, .shards])')" \
		'[["one","active",true,512],["two","active",false,512]]'
	assert_equal "$("$AETHER" cluster leader "$D/two")" one
	assert_equal "$("$AETHER" cluster leader --json "$D/two" | jq -r .leader)" one
	assert_equal "$("$AETHER" cluster shards "$M" | sed 1d | awk '{ print $1, $2 }')" "$(cluster_of mnt shards)"
	assert_equal "$("$AETHER" cluster shards --json "$M" | jq -r '.[] | "\(.shard) \(.owner)"')" "$(cluster_of mnt shards)"
}

@test "aether cluster and aether node: bad usage" {
	run -2 "$AETHER" cluster
	run -2 "$AETHER" cluster owners
	run -2 "$AETHER" cluster nodes "$M" more
	run -1 "$AETHER" cluster nodes "$D"
	assert_output --partial 'is not a mount of Aether'
	run -2 "$AETHER" node "$D"
	run -2 "$AETHER" node -o ro
	assert_output --partial "unknown option 'ro' of -o"
	run -2 "$AETHER" node --store memory
	run -1 "$AETHER" node --nats nats://127.0.0.1:1 -o timeout=0.1
}

@test "what the cluster's files are: read-only, of fixed names" {
	assert_equal "$(cd "$M/.aether/cluster" && echo *)" 'events leader nodes self shards'
	for f in self leader shards events nodes/one; do
		run -1 bash -c 'echo x >>"$0"' "$M/.aether/cluster/$f"
	done
	assert_errno ENOENT stat "$M/.aether/cluster/nodes/nobody"
}

@test "a mount in memory is a cluster of its own" {
	mount_start -n two --store memory --node-id two
	wait_for 30 settled two 1
	assert_equal "$(cluster_of two leader)" two
	mkdir "$D/two/t"
	echo 1 >>"$D/two/t/a1"
	wait_for 30 shared_out two
	assert_equal "$(owned_by two)" a1
	settled mnt 1
}

@test "the cluster's bucket is deleted by an administrator: it is made again, and all goes on" {
	nats_start
	mount_start -n two --nats "$NATS_URL" --node-id two
	mount_start -n three --nats "$NATS_URL" --node-id three
	wait_for 30 settled two 2
	wait_for 30 agree two three
	ask '$JS.API.STREAM.DELETE.KV_aether_cluster' | jq -e .success
	wait_for 60 bucket_is_there
	wait_for 60 agree two three
	wait_for 60 settled two 2
	wait_for 60 settled three 2
	mount_stop two
	mount_stop three
	nats_stop
}

bucket_is_there() {
	ask '$JS.API.STREAM.INFO.KV_aether_cluster' | jq -e '.state.messages >= 2'
}
