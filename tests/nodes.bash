# shellcheck shell=bash
# The verbs of the bats files in which several nodes are looked at.

# What a mount (default: mnt) knows of the cluster: cluster_of [NAME] FILE
cluster_of() {
	cat "$D/$1/.aether/cluster/$2"
}

# node_is MOUNT ID STATE: does that mount see the node in that state?
node_is() {
	[[ $(cluster_of "$1" "nodes/$2" | jq -r .state) == "$3" ]]
}

# settled MOUNT COUNT: has every shard an owner, are those COUNT different ones, and is nothing in handover?
settled() {
	cluster_of "$1" shards | awk -v want="$2" 'NF != 2 || $2 == "-" { exit 1 } { seen[$2] = 1; n++ } END { for (i in seen) k++; exit !(n == 1024 && k == want) }'
}

# agree MOUNT MOUNT...: do they all say the same of shards and leader?
agree() {
	local m first
	first="$(cluster_of "$1" shards; cluster_of "$1" leader)"
	[[ -n $(cluster_of "$1" leader) ]] || return 1
	for m in "${@:2}"; do
		[[ $(cluster_of "$m" shards; cluster_of "$m" leader) == "$first" ]] || return 1
	done
}

# count_of MOUNT NODE: how many shards that node owns, as that mount sees it.
count_of() {
	cluster_of "$1" shards | awk -v node="$2" '$2 == node { n++ } END { print n + 0 }'
}

# owned_by MOUNT: the names in the `owned` of namespace t there, in order.
owned_by() {
	find "$D/$1/t/.aether/owned" -mindepth 1 -printf '%f\n' | sort
}

# Are the actors of namespace t shared out among the mounts that are named, each to one?
shared_out() {
	local m
	diff <(for m in "$@"; do owned_by "$m"; done | sort) <(find "$D/$1/t" -maxdepth 1 -type f -printf '%f\n' | sort)
}
