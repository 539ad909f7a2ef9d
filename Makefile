# Drover. One non-recursive Makefile; `make help` lists the targets.
# V=plain|asan|tsan|fuzz picks the variant; each has a build folder of its own.

V ?= plain
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
B := build/$(V)
ifeq ($(origin CC),default)
CC := gcc
endif
AR := gcc-ar
PKGS_ALL := libevent libevent_openssl libevent_pthreads openssl jansson sqlite3 zlib yaml-0.1 libxml-2.0 \
            libcurl libvirt glib-2.0
WERROR ?= -Werror
WARN := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wswitch-enum \
  -Wconversion -fno-common
VERSION := $(shell cat VERSION)
DEFS := -D_GNU_SOURCE -DDROVER_VERSION='"$(VERSION)"' -I.
CFLAGS_plain := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fPIE
# -w: clang warns of other things than gcc, whose warnings are errors
CFLAGS_fuzz := -w -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fPIE
CFLAGS_tsan := -O1 -g -fsanitize=thread -fPIE
LDFLAGS_plain := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -pie -fsanitize=address,undefined
LDFLAGS_fuzz := -pie -fsanitize=fuzzer,address,undefined
LDFLAGS_tsan := -pie -fsanitize=thread
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS_ALL) 2>/dev/null)
ALL_CFLAGS = -std=gnu17 $(DEFS) $(WARN) -fno-omit-frame-pointer -pthread $(CFLAGS_$(V)) $(PKG_CFLAGS) $(CFLAGS)

# ---- rooms: every .c file in a room is part of its archive ---------------------------------------
ROOMS := base model wire net policy solve plan snap core agentcore hv rbd sim
DIR_base := lib/base
DIR_model := lib/model
DIR_wire := lib/wire
DIR_net := lib/net
DIR_policy := policy policy/rules
DIR_solve := scheduler/solve
DIR_plan := scheduler/plan
DIR_snap := scheduler/snap
DIR_core := scheduler/core
DIR_agentcore := agent/core
DIR_sim := scheduler/sim
DIR_hv := agent/hv
DIR_rbd := agent/rbd
room_src = $(sort $(foreach d,$(DIR_$(1)),$(wildcard $(d)/*.c)))
obj = $(patsubst %.c,$(B)/%.o,$(1))
lib = $(foreach r,$(1),$(B)/lib$(r).a)

define ROOM
$(B)/lib$(1).a: $(call obj,$(call room_src,$(1)))
	@rm -f $$@; $(AR) rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call ROOM,$(r))))

SRC_scheduler := $(sort $(wildcard scheduler/io/*.c))
SRC_agent := $(sort $(wildcard agent/io/*.c))
SRC_helper := $(sort $(wildcard agent/helper/*.c))
SRC_cli := $(sort $(wildcard scheduler/cli/*.c))
SRC_simcli := $(sort $(wildcard scheduler/simcli/*.c))
LIBS_BASE := -ljansson -lm
LIBS_SNAP := -lcsv
LIBS_POLICY := -lyaml -lgit2 -lglib-2.0
LIBS_NET := -levent_openssl -levent_pthreads -levent -lssl -lcrypto

PROGS := $(B)/bin/drover-scheduler $(B)/bin/drover-agent $(B)/bin/drover-agent-ceph $(B)/bin/drover $(B)/bin/drover-sim

.PHONY: all help check check-sim sim-soak golden-update tests check-unit check-unit-planner check-unit-rest check-lab demo demo-balance lab-up lab-down lab-shell layers mutate-core mutate-verify lint format deps \
        clean bench-agents bench-balance bench-calibrate bench-drain bench-events bench-fleet bench-hbal bench-idle bench-plan bench-plan-long bench-planetlab bench-replay bench-roadef bench-sim bench-tdsc bench-ucc15 bench-vmr2l \
        fuzz install man
all: $(PROGS)

$(B)/bin/drover-scheduler: $(call obj,$(SRC_scheduler)) $(call lib,core snap plan solve policy net wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_NET) $(LIBS_BASE) -lsqlite3 -lz $(LIBS_POLICY)
$(B)/bin/drover-agent: $(call obj,$(SRC_agent)) $(call lib,agentcore hv rbd net wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_NET) $(LIBS_BASE) -lyaml -lvirt -lxml2
# Its own program: loading librbd alone costs 15 MB, more than the whole idle agent.
$(B)/bin/drover-agent-ceph: $(call obj,$(SRC_helper)) $(call lib,rbd wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) -lrbd -lrados
$(B)/bin/drover: $(call obj,$(SRC_cli)) $(call lib,core snap plan solve policy net wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_NET) $(LIBS_BASE) -lcurl $(LIBS_POLICY) $(LIBS_SNAP)

$(B)/bin/drover-sim: $(call obj,$(SRC_simcli)) $(call lib,sim agentcore core snap plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) $(LIBS_SNAP)

$(B)/%.o: %.c
	@mkdir -p $(@D); echo "  CC $<"; $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# .incbin is no #include: -MMD does not see it
$(B)/scheduler/io/schema.o: $(wildcard schema/db/*.sql)

# ---- tests ---------------------------------------------------------------------------------------
TESTS := $(patsubst tests/unit/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
# Tests may include scheduler/io and agent/io parts that have no main: listed per test as EXTRA_<name>.
$(B)/tests/%: $(B)/tests/unit/%.o $(call lib,core snap plan solve policy agentcore hv rbd net wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $< $(call obj,$(EXTRA_$*)) -Wl,--start-group \
	  $(call lib,core snap plan solve policy agentcore hv rbd net wire model base) -Wl,--end-group \
	  $(LIBS_NET) $(LIBS_BASE) -lsqlite3 -lz $(LIBS_POLICY) $(LIBS_SNAP) -lvirt -lrbd -lrados -lxml2 -lcmocka
$(B)/tests/unit/%.o: tests/unit/%.c
	@mkdir -p $(@D); echo "  CC $<"; $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

STORE_PARTS := scheduler/io/store.c scheduler/io/store_rows.c scheduler/io/store_xml.c scheduler/io/schema.c scheduler/io/xml.c
EXTRA_test_store := $(STORE_PARTS) tests/unit/faultvfs.c
EXTRA_test_store_faults := $(EXTRA_test_store)
EXTRA_test_store_xml := $(STORE_PARTS)
EXTRA_test_core := tests/unit/fakefleet.c
EXTRA_test_core_faults := tests/unit/fakefleet.c
EXTRA_test_core_waits := tests/unit/fakefleet.c
EXTRA_test_core_lists := tests/unit/fakefleet.c
EXTRA_test_core_hosts := tests/unit/fakefleet.c
EXTRA_test_core_load := tests/unit/fakefleet.c
EXTRA_test_core_balance := tests/unit/fakefleet.c
EXTRA_test_core_room := tests/unit/fakefleet.c
EXTRA_test_core_ceph := tests/unit/fakefleet.c
EXTRA_test_core_look := tests/unit/fakefleet.c
EXTRA_test_core_failures := tests/unit/fakefleet.c
EXTRA_test_admit := tests/unit/fakefleet.c
EXTRA_test_pki := scheduler/cli/pki.c
EXTRA_test_schedio := $(filter-out scheduler/io/main.c,$(SRC_scheduler)) tests/unit/faultvfs.c
EXTRA_test_sched_store := $(EXTRA_test_schedio)
EXTRA_test_sched_config := $(EXTRA_test_schedio)
EXTRA_test_policy_watch := $(filter-out scheduler/io/main.c,$(SRC_scheduler)) tests/unit/faultvfs.c
EXTRA_test_agent_io := $(filter-out agent/io/main.c,$(SRC_agent))
EXTRA_test_agent_session := $(EXTRA_test_agent_io)
EXTRA_test_fuzz := $(wildcard tests/fuzz/fuzz_*.c)
EXTRA_test_replay := scheduler/io/recorder.c scheduler/simcli/replay.c scheduler/simcli/say.c
EXTRA_test_simcli := scheduler/simcli/scenario.c scheduler/simcli/expect.c $(wildcard scheduler/sim/*.c)
EXTRA_test_agents := scheduler/io/agents.c scheduler/io/queue.c scheduler/io/xml.c
CLI_PARTS := $(filter-out scheduler/cli/main.c scheduler/cli/client.c scheduler/cli/pki.c,$(SRC_cli)) tests/unit/fakeapi.c
EXTRA_test_cli_opt := $(CLI_PARTS)
EXTRA_test_cli_out := $(CLI_PARTS)
EXTRA_test_cli_top := $(CLI_PARTS)
EXTRA_test_cli_show := $(CLI_PARTS)
EXTRA_test_cli_follow := $(CLI_PARTS)
EXTRA_test_cli_drain := $(CLI_PARTS)
EXTRA_test_cli_balance := $(CLI_PARTS)
EXTRA_test_cli_offline := $(CLI_PARTS)
EXTRA_test_cli_policy := $(CLI_PARTS)
EXTRA_test_cli_suspend := $(CLI_PARTS)
EXTRA_test_cli_skew := $(CLI_PARTS)
EXTRA_test_cli_exit := $(CLI_PARTS)
$(foreach v,$(filter EXTRA_test_%,$(.VARIABLES)),$(eval $(B)/tests/$(v:EXTRA_%=%): $(call obj,$($(v)))))

check: ## install what is missing, build, run every test: unit (plain, asan), layers, the real lab
	@tests/check
tests: $(TESTS)
check-unit: $(TESTS) ## unit tests of this variant
	@tests/run-unit $(TESTS)
PLANNER := $(filter $(B)/tests/test_plan_% $(B)/tests/test_solve_%,$(TESTS))
check-unit-planner: $(PLANNER) ## of these the planner's: they look at no clock, and take most of the time
	@tests/run-unit $(PLANNER)
check-unit-rest: $(filter-out $(PLANNER),$(TESTS)) ## and all others
	@tests/run-unit $(filter-out $(PLANNER),$(TESTS))
check-lab: all ## scenarios on real Ceph, libvirt and QEMU (root)
	@tests/lab/run
mutate-verify: $(addprefix $(B)/tests/test_plan_,verify sound rules consolidate failover room numa waits) ## each check of the plans' verifier switched off: a test must notice
	@LIBS="$(LIBS_BASE) $(LIBS_POLICY)" tests/mutate-verify $(B) $(CC) $(filter-out $(WARN),$(ALL_CFLAGS))
mutate-core: $(B)/bin/drover-sim ## lines of the core broken, one at a time: a scenario, soak or a crash must notice (minutes)
	@LIBS="$(LIBS_BASE) $(LIBS_POLICY) $(LIBS_SNAP)" tests/mutate-core $(B) $(CC) $(filter-out $(WARN),$(ALL_CFLAGS))
SEEDS ?= 1..1000
check-sim: $(B)/bin/drover-sim ## scenarios in virtual time (tests/sim), with their crashes: CRASHES=16 of each
	@$< check $(if $(CRASHES),--crashes $(CRASHES)) tests/sim/*
sim-soak: $(B)/bin/drover-sim ## random fleets and faults in virtual time: SEEDS=1..1000 SOAK=--crash
	@$< soak $(SEEDS) $(SOAK) --out build/soak
golden-update: $(B)/bin/drover-sim ## write the logs of tests/sim anew; read the difference
	@$< check --update tests/sim/*
layers: all ## who may include whom; pure rooms stay pure
	@tests/layers $(B)
lint: ## clang-tidy over the product's sources
	@tests/lint $(filter-out tests/%,$(shell git ls-files '*.c'))
format: ## clang-format in place
	@clang-format -i $(shell git ls-files '*.c' '*.h')

# ---- fuzzing (clang) ------------------------------------------------------------------------------
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TIME ?= 60
SEEDS_policy := tests/unit/data/policy-bad policy/examples
SEEDS_snapshot := tests/unit/data/fleets
fuzz: ## feed each reader of outside input from its corpus, FUZZ_TIME=60 seconds each; new finds in build/fuzz/new
	@deploy/deps.sh fuzz
	@$(MAKE) -s V=fuzz CC=clang $(FUZZERS:%=build/fuzz/bin/fuzz_%)
	@$(foreach f,$(FUZZERS),mkdir -p build/fuzz/new/$(f) && build/fuzz/bin/fuzz_$(f) -max_total_time=$(FUZZ_TIME) -print_final_stats=1 \
	  -artifact_prefix=build/fuzz/crash-$(f)- build/fuzz/new/$(f) tests/fuzz/corpus/$(f) $(SEEDS_$(f)) &&) :
$(B)/bin/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(call lib,snap plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -Wl,--defsym=LLVMFuzzerTestOneInput=fuzz_$* -o $@ $^ \
	  $(LIBS_BASE) $(LIBS_POLICY) $(LIBS_SNAP)

# ---- the lab (root) ------------------------------------------------------------------------------
HOSTS ?= 4
lab-up: all ## a real lab: HOSTS=4 LINK=400mbit TRANSPORT=tls|tcp
	@tests/lab/lab up --hosts $(HOSTS) $(if $(LINK),--link $(LINK)) $(if $(TRANSPORT),--transport $(TRANSPORT))
lab-down: ## end the lab and leave nothing behind
	@tests/lab/lab down
lab-shell: ## a shell in HOST=h1
	@tests/lab/lab shell $(HOST)
demo: ## drain a real host of 8 VMs, from nothing, under 6 minutes (KEEP=1 leaves the lab up)
	@deploy/deps.sh
	@$(MAKE) -s -j$$(nproc) all
	@tests/lab/demo
demo-balance: ## a hot host is relieved by schedule, from nothing, under 4 minutes (KEEP=1 leaves the lab up)
	@deploy/deps.sh
	@$(MAKE) -s -j$$(nproc) all
	@tests/lab/demo-balance
bench-plan: $(B)/bench/plan ## time of the planner on large fleets; draws build/plain/bench/plan-growth.svg
	@$< | tee $(B)/bench/plan.out
	@tests/bench/plan-growth <$(B)/bench/plan.out >$(B)/bench/plan-growth.svg
bench-fleet: $(B)/bench/fleet ## time and memory of the core on large fleets: SIZES='100 1000 10000' DRAINS=100 AT_ONCE=4
	@DRAINS="$(or $(DRAINS),100)" AT_ONCE="$(or $(AT_ONCE),4)" $< $(SIZES)
$(B)/bench/fleet: $(B)/tests/bench/fleet.o $(call lib,core plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) -lcmocka
bench-sim: $(B)/bench/simfleet ## what a virtual hour of a large fleet costs: BENCH_HOSTS=10000 DRAINS=100
	@$< "$(or $(BENCH_HOSTS),10000)" "$(or $(DRAINS),100)" 15
$(B)/bench/simfleet: $(B)/tests/bench/simfleet.o $(call lib,sim agentcore core snap plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -Wl,--wrap=core_step -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) $(LIBS_SNAP) -lcmocka
bench-plan-long: $(B)/bench/plan_long ## balance plans against a long search of the same problem (6 min)
	@$<
$(B)/bench/plan_long: $(B)/tests/bench/plan_long.o $(call lib,plan solve policy model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) -lcmocka
$(B)/bench/plan: $(B)/tests/bench/plan.o $(call lib,plan solve policy model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) -lcmocka
bench-roadef: $(B)/bench/roadef ## the search against the ROADEF winner: DATA=FOLDER SECONDS=60 THREADS=2 SEED=1 INST='a1_1 b_1'
	@$< "$(DATA)" "$(or $(SECONDS),60)" "$(or $(THREADS),2)" "$(or $(SEED),1)" $(INST)
$(B)/bench/roadef: $(B)/tests/bench/roadef.o $(call lib,solve base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ -lm
bench-ucc15: $(B)/bench/ucc15 ## timetables of moves against published ones: DATA=FOLDER OUT=FOLDER
	@DATA="$(DATA)" OUT="$(OUT)" $<
$(B)/bench/ucc15: $(B)/tests/bench/ucc15.o $(call lib,solve base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE)
bench-hbal: $(B)/bench/hbal ## balance by hbal's own score, judged by hbal: DATA=FOLDER (HBAL=1 runs hbal anew: 6 min)
	@tests/bench/hbal $< "$(DATA)"
$(B)/bench/hbal: $(B)/tests/bench/hbal.o $(call lib,solve base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE)
bench-tdsc: $(B)/bench/tdsc ## repair of 5,000 servers against BtrPlace: DATA=FOLDER
	@$< "$(DATA)"
$(B)/bench/tdsc: $(B)/tests/bench/tdsc.o $(call lib,solve base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE)
bench-vmr2l: $(B)/bench/vmr2l ## few migrations against fragments, beside proven optima: DATA=FOLDER STEPS=8000000
	@$< "$(DATA)" "$(or $(STEPS),8000000)"
$(B)/bench/vmr2l: $(B)/tests/bench/vmr2l.o $(call lib,solve base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE)
N ?= 2000
bench-agents: all $(B)/bench/agents ## CPU and memory of a scheduler with N=2000 agents over TLS, and its restart: XML=0
	@tests/bench/agents --agents $(N) --xml $(or $(XML),0)
$(B)/bench/agents: $(B)/tests/bench/agents.o $(call lib,net wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_NET) $(LIBS_BASE)
bench-replay: $(B)/bench/replay ## two hours of daily waves in the simulator, Drover's core beside the rules of others: SEED=1 RUNS=5 FIRST=9 HOURS=2 HEAT=0.56
	@$< "$(or $(SEED),1)" "$(or $(RUNS),5)" "$(or $(FIRST),9)" "$(or $(HOURS),2)" "$(or $(HEAT),0.56)"
bench-planetlab: $(B)/bench/replay ## the same with a day of PlanetLab's traces: DATA=FOLDER SEED=1 RUNS=1 FIRST=9 HOURS=6
	@if [ -f "$(DATA)/cpu_percent.csv" ]; then $< "$(or $(SEED),1)" "$(or $(RUNS),1)" "$(or $(FIRST),9)" "$(or $(HOURS),6)" 0 "$(DATA)/cpu_percent.csv"; \
	else echo "SKIPPED: bench-planetlab needs DATA=FOLDER, where cpu_percent.csv is" >&2; fi
$(B)/bench/replay: $(patsubst %,$(B)/tests/bench/%.o,replay table waves seen rivals ours) $(call lib,sim agentcore core snap plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) $(LIBS_SNAP) -lcmocka
bench-balance: $(B)/bench/balance ## waves of load, Drover's planner beside the rules of others: RUNS=5 FIRST=0 HOURS=24 HEAT=0.56 DATA=FOLDER
	@$< "$(or $(RUNS),5)" "$(or $(FIRST),0)" "$(or $(HOURS),24)" "$(or $(HEAT),0.56)" $(if $(DATA),"$(DATA)/cpu_percent.csv")
$(B)/bench/balance: $(patsubst %,$(B)/tests/bench/%.o,balance table waves seen flights rivals ours) $(call lib,core plan solve policy wire model base)
	@mkdir -p $(@D); echo "  LD $@"; $(CC) $(LDFLAGS_$(V)) -pthread -o $@ $^ $(LIBS_BASE) $(LIBS_POLICY) -lcmocka
bench-drain: all ## drain speed against virsh and the link's bound
	@tests/bench/drain
bench-calibrate: all ## the same drains simulated and in the lab
	@tests/bench/calibrate
bench-events: all ## how soon Drover knows of a domain that somebody started or stopped
	@tests/bench/events
bench-idle: all ## memory and CPU of idle daemons
	@tests/bench/idle
deps: ## install the Debian packages that are missing (root)
	@deploy/deps.sh

# ---- installing ----------------------------------------------------------------------------------
MAN := $(patsubst docs/man/%.scd,$(B)/man/%,$(wildcard docs/man/*.scd))
man: $(MAN) ## manual pages
$(B)/man/%: docs/man/%.scd
	@mkdir -p $(@D); scdoc <$< >$@
PREFIX ?= /usr
install: all man ## install below DESTDIR and PREFIX=/usr
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)/lib/systemd/system
	install $(B)/bin/drover $(B)/bin/drover-sim $(DESTDIR)$(PREFIX)/bin/
	install $(B)/bin/drover-scheduler $(B)/bin/drover-agent $(B)/bin/drover-agent-ceph $(DESTDIR)$(PREFIX)/sbin/
	install -D -m 644 deploy/completion/drover.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/drover
	install -m 644 $(filter %.1,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(filter %.5,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 $(filter %.8,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(wildcard deploy/systemd/*.service) $(DESTDIR)/lib/systemd/system/
	install -D -m 644 deploy/sysusers/drover.conf $(DESTDIR)/usr/lib/sysusers.d/drover.conf
	install -D -m 644 deploy/completion/drover.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/drover
	install -d $(DESTDIR)$(PREFIX)/share/doc/drover/examples
	install -m 644 $(wildcard deploy/examples/*.yaml) $(DESTDIR)$(PREFIX)/share/doc/drover/examples/
	cp -r --no-preserve=mode deploy/examples/policy-repo $(DESTDIR)$(PREFIX)/share/doc/drover/examples/
	install -D -m 644 schema/policy.json $(DESTDIR)$(PREFIX)/share/drover/policy.json
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile
	@echo "  V=plain|asan|tsan picks the variant"

-include $(shell find $(B) -name '*.d' 2>/dev/null)

clean:
	rm -rf build
