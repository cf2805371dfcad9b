#!/usr/bin/env bats
# What make bench makes of its samples; the measuring itself is not a test.

load helper

setup_file() { :; }

teardown_file() { :; }

setup() {
	BENCH="$TESTS/bench"
	printf 'main_events\t1000000\nmain_actors\t100000\nserver\tnats-server: v2\n' >"$D/head"
	: >"$D/samples"
}

# samples KEY SIDE X VALUE...
samples() {
	printf "$1\t$2\t$3\t%s\n" "${@:4}" >>"$D/samples"
}

report() {
	"$BENCH/report" "$BENCH/rows.tsv" "$D/head" "$D/samples" >"$D/bench.json"
}

# verdict KEY: of its row.
verdict() {
	jq -r --arg key "$1" '.rows[] | select(.key == $key) | .verdict' "$D/bench.json"
}

@test "medians decide, and a missed target is called missed" {
	samples append_p50 ours 0 900 110 120
	samples append_p50 baseline 0 100 1 100
	samples bulk ours 1000000 299
	samples bulk baseline 1000000 100
	report
	assert_equal "$(verdict append_p50)" met
	assert_equal "$(verdict bulk)" MISSED
	run -0 "$BENCH/table" "$D/bench.json"
	assert_line --regexp '^cat 1 M lines >> actor .* 299 +100 .* 2.99 .*MISSED$'
}

@test "what broke has failed, whatever else was measured" {
	samples warm ours 1000000 900
	samples warm baseline 1000000 1000
	samples warm failed 1000000 "two replays differ"
	report
	assert_equal "$(verdict warm)" FAILED
	assert_equal "$(verdict append_p50)" ""
}

@test "a figure without baseline is compared itself" {
	samples memory_actor ours 100000 301
	report
	assert_equal "$(verdict memory_actor)" MISSED
}

@test "growth: linear is met, quadratic is not" {
	samples ls_first ours 1000 0.01
	samples ls_first ours 10000 0.1
	report
	assert_equal "$(verdict growth)" met
	samples ls_first ours 100000 10
	report
	assert_equal "$(verdict growth)" MISSED
}

@test "the steepest growth of one operation is another row than that over everything" {
	samples small ours 1000 100
	samples small ours 10000 1000
	report
	assert_equal "$(verdict growth)" MISSED
	assert_equal "$(jq -r '.rows[] | select(.key == "growth") | .target' "$D/bench.json")" 0.5
}

@test "an unknown group is refused" {
	ONLY=appendd OUT="$D/out" B=build run -1 "$BENCH/run"
	assert_output --partial "no group appendd"
}
