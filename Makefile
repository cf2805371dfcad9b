# Aether. `make help` lists the targets; V=1 shows the commands.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MODE ?= release
SAN ?=
DESTDIR ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 20
Q := $(if $(V),,@)
ROOT := $(filter 0,$(shell id -u))
MNT ?= $(if $(ROOT),/mnt/aether,$(HOME)/aether)

# Where things go: build/ for release, else build/debug, build/san-address,undefined and so on.
comma := ,
B := build$(if $(SAN),/san-$(SAN),$(if $(filter debug,$(MODE)),/debug))
BIN := $(B)/aether
LIBS := libnats fuse3 libcjson libxxhash
SRC := $(wildcard store/*.c fs/*.c cluster/*.c mount/*.c)
OBJ := $(SRC:%.c=$(B)/%.o)
PARTS := $(filter-out $(B)/mount/main.o,$(OBJ))
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
UNIT_PARTS := $(patsubst %.c,$(B)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c tests/faults/*.c)))
BENCH := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
FUZZ := $(patsubst %.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOL := $(B)/tests/errno-do
CONTRACT := $(B)/tests/jetstream_contract
# Those that other targets run; and SKIP="NAME…".
ELSEWHERE := live_outage live_cut jetstream contended worker $(SKIP)
BATS := $(sort $(filter-out $(ELSEWHERE:%=tests/%.bats),$(wildcard tests/*.bats)))
# What takes longest, and is not what breaks first.
SLOW := async dpkg ext4 index large live_others live_stress live_tools lost nodes outage transfer types

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wformat=2 -Wvla -Werror
OPT := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all,$(if \
	$(filter debug,$(MODE)),-O0,-O2))
CFLAGS ?=
CHECKS := $(if $(SAN)$(filter debug,$(MODE)),-DLOCK_CHECKS=1)
ALL_CFLAGS := -std=c11 -g -D_GNU_SOURCE $(OPT) $(CHECKS) $(WARN) -I. -MMD -MP -pthread $(shell pkg-config --cflags $(LIBS) 2>/dev/null) $(CFLAGS)
ALL_LIBS := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -pthread

# Debian packages: what building and running need, what the tests, the benches and the checkers need besides.
DEPS := gcc libc6-dev make pkg-config libnats-dev libfuse3-dev fuse3 libcjson-dev libxxhash-dev nats-server
TEST_DEPS := acl graphviz openssl bats bats-support bats-assert inotify-tools attr jq e2fsprogs util-linux procps iproute2 socat \
	entr fswatch python3-watchdog rsync $(if $(shell command -v npm),,nodejs npm)
BENCH_DEPS := jq gnuplot-nox
LINT_DEPS := cppcheck shellcheck
install_missing = @missing=; for p in $(1); do \
	dpkg-query -W -f '$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || missing+=" $$p"; done; \
	[ -z "$$missing" ] || { echo "Installing$$missing"; \
	apt="$(if $(ROOT),,sudo )env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"; \
	$$apt update && $$apt install -y --no-install-recommends $$missing </dev/null >/dev/null; }

all: $(BIN) ## build the binary, build/aether (MODE=debug, SAN=address,undefined or SAN=thread: elsewhere under build/)

$(BIN): $(OBJ)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(ALL_LIBS)
$(B)/libparts.a: $(PARTS) $(UNIT_PARTS)
	@rm -f $@; ar rcs $@ $^
$(UNIT) $(BENCH) $(CONTRACT): $(B)/%: $(B)/%.o $(B)/libparts.a
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(ALL_LIBS) -lm
$(BENCH): $(B)/tests/bench/measure.o
$(TOOL): $(B)/tests/errno-do.o
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS)
$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D); echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(B)/flags: FORCE # changes when the compiler or its options do
	@pkg-config --print-errors --exists $(LIBS) || { echo "Something is missing: make deps installs it."; exit 1; }
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' >$@
-include $(shell find $(B)/store $(B)/fs $(B)/cluster $(B)/mount $(B)/tests -name '*.d' 2>/dev/null)
.PRECIOUS: $(B)/%.o

run: deps ## install what is missing, build, mount at MNT (/mnt/aether; ~/aether when not root)
	@$(MAKE) --no-print-directory all
	@if findmnt -rno FSTYPE -M '$(MNT)' | grep -q '^fuse.aether' && [ -e '$(MNT)/.aether/version' ]; then echo "Aether is mounted at $(MNT) already."; \
	else mkdir -p '$(MNT)' 2>/dev/null || true; build/aether mount '$(MNT)'; echo "Aether is mounted at $(MNT); make stop unmounts it."; fi
	@printf '%s\n' "Try:" "  mkdir -p $(MNT)/orders" "  echo '{\"eventType\":\"OrderPlaced\",\"data\":{\"total\":100.00}}' >> $(MNT)/orders/order-123" \
		"  cat $(MNT)/orders/order-123"
stop: ## unmount MNT
	@if findmnt -rno FSTYPE -M '$(MNT)' | grep -q '^fuse.aether'; then build/aether umount '$(MNT)'; echo "Unmounted $(MNT)."; \
	else echo "Aether is not mounted at $(MNT)."; fi

test: test-deps ## install what the tests need, build, run them in some minutes (SAN= as above); N passed, N failed
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' AETHER_TEST_MEMORY_FACTOR=$(if $(SAN),4,1) tests/run $(UNIT) $(filter-out $(SLOW:%=tests/%.bats),$(BATS))
test-all: test-deps ## the same with the slow ones
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' AETHER_TEST_MEMORY_FACTOR=$(if $(SAN),4,1) tests/run $(UNIT) $(BATS)
unit: ## the unit tests alone: no FUSE, no network
	@$(MAKE) --no-print-directory $(UNIT)
	@AETHER='$(BIN)' tests/run $(UNIT)
test-nats: test-deps ## the tests of JetStream's behaviour against each nats-server version of tests/nats-versions
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' tests/run-versions
test-cluster: test-deps ## watches and nodes while servers of a cluster fail, with each nats-server version of tests/nats-versions
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' AETHER_TEST_LIMIT=580 tests/run-versions cluster/live_cluster cluster/nodes_cluster contended worker
test-net: test-deps ## watches and nodes while links are cut, between network namespaces that it makes: needs root
	@[ -n '$(ROOT)' ] || { echo "make test-net must be run as root: it makes network namespaces."; exit 1; }
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' tests/run tests/net/live_net.bats tests/net/nodes_net.bats
test-away: test-deps ## both, together, with one nats-server version (AETHER_TEST_VERSION=2.10)
	@$(MAKE) --no-print-directory programs
	@AETHER='$(BIN)' AETHER_TEST_LIMIT=580 AETHER_TEST_VERSION='$(or $(AETHER_TEST_VERSION),2.10)' tests/run-versions \
		cluster/live_cluster net/live_net cluster/nodes_cluster net/nodes_net contended worker
programs: $(BIN) $(UNIT) $(TOOL) $(CONTRACT)
bench: bench-deps ## speed and growth beside nats.c and tmpfs, in some minutes (QUICK=1: one; ONLY=append,cold): a table, build/bench/
	@$(MAKE) --no-print-directory $(BIN) $(BENCH)
	@B='$(B)' AETHER='$(BIN)' OUT='$(B)/bench' tests/bench/run
lint: lint-deps ## include arrows, cppcheck, shellcheck, sizes, words
	@tests/lint .
fuzz: ## run each fuzz target for FUZZ_SECONDS (needs clang)
	$(call install_missing,clang)
	$(call install_missing,libclang-rt-$$(clang -dumpversion | cut -d. -f1)-dev)
	@$(MAKE) --no-print-directory $(FUZZ)
	@for f in $(FUZZ); do mkdir -p $$f.corpus; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 -artifact_prefix=$$f- $$f.corpus; done
build/fuzz/%: %.c $(wildcard store/*.[ch])
	@mkdir -p $(@D)
	clang -std=c11 -g -O1 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined $(shell pkg-config --cflags $(LIBS) 2>/dev/null) \
		-o $@ $< $(addprefix store/,event.c json.c json_walk.c fold.c table.c name.c buf.c clock.c record.c model.c model_names.c model_check.c model_dot.c model_groups.c) $(ALL_LIBS)

install: all ## install the binary under DESTDIR and PREFIX
	install -D -m 755 $(BIN) '$(DESTDIR)$(PREFIX)/bin/aether'
deps: ## install what building and running need
	$(call install_missing,$(DEPS))
test-deps: ## and what the tests need
	$(call install_missing,$(DEPS) $(TEST_DEPS))
	@tests/unpacked incron rsyslog >/dev/null
bench-deps: ## and what the measurements need
	$(call install_missing,$(DEPS) $(BENCH_DEPS))
lint-deps:
	$(call install_missing,$(DEPS) $(LINT_DEPS))
clean: ## remove build/
	rm -rf build
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: all run stop test test-all unit test-nats test-cluster test-net test-away programs bench lint fuzz install deps test-deps bench-deps lint-deps clean help FORCE
