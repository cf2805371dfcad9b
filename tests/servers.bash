# shellcheck shell=bash
# Three nats-servers that are a cluster, on loopback: each with its directory D/server.N, and its ports in D/ports.N. Needs live_server (away.bash).

SERVERS=(1 2 3)

servers_start() {
	local i
	# For clients, and for the other servers.
	for i in "${SERVERS[@]}"; do echo "$(free_port) $(free_port)" >"$D/ports.$i"; done
	for i in "${SERVERS[@]}"; do server_start "$i"; done
	wait_for 60 cluster_ready
}

client_port() {
	cut -d ' ' -f 1 "$D/ports.$1"
}

urls() {
	local i list=()
	for i in "${SERVERS[@]}"; do list+=("nats://127.0.0.1:$(client_port "$i")"); done
	(IFS=,; echo "${list[*]}")
}

routes() {
	local i
	for i in "${SERVERS[@]}"; do echo "nats://127.0.0.1:$(cut -d ' ' -f 2 "$D/ports.$i")"; done | paste -sd ,
}

# server_start NUMBER: run that server, at its ports, with its store.
server_start() {
	local client route dir="$D/server.$1"
	read -r client route <"$D/ports.$1"
	mkdir -p "$dir"
	cat >"$dir/conf" <<-CONF
		server_name: "s$1"
		listen: "127.0.0.1:$client"
		jetstream { store_dir: "$dir" }
		cluster { name: "$AETHER_TEST_MARK", listen: "127.0.0.1:$route", routes: [ $(routes) ] }
	CONF
	"${AETHER_NATS_SERVER:-nats-server}" -c "$dir/conf" </dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$dir/pid"
	disown
	wait_for 20 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"' "$client"
}

server_kill() {
	local pid dir="$D/server.$1"
	pid="$(cat "$dir/pid")"
	kill -KILL "$pid"
	wait_for 20 not kill -0 "$pid"
	rm "$dir/pid"
}

# All servers run, and the cluster answers.
cluster_back() {
	local i
	for i in "${SERVERS[@]}"; do
		[[ -e $D/server.$i/pid ]] || server_start "$i"
	done
	wait_for 60 cluster_ready
}

cluster_ready() {
	local i
	for i in "${SERVERS[@]}"; do
		live_server "127.0.0.1/$(client_port "$i")"
		ask '$JS.API.STREAM.NAMES' | jq -e 'has("error") | not' || return 1
	done
}
