# Gaoler. `make` alone lists what there is. Every target installs what it needs (scripts/setup.sh says what is
# missing when it may not) and keeps what it fetches outside the checkout, in $GAOLER_CACHE.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
STANDALONE := --no-default-features --features standalone
PYTHON := /usr/bin/python3
PREFIX ?= /usr/local

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build release install
build: ## Debug build, all features
	$(CARGO) build --locked
release: ## Release build in target/release/gaoler
	$(CARGO) build --release --locked
# Builds nothing: under sudo there is often no cargo.
install: ## What `make release` built (also as plugin of kubectl), manual pages, completions, systemd unit (DESTDIR, PREFIX)
	@test -x $(TARGET)/release/gaoler || { echo "$(TARGET)/release/gaoler is missing: make release" >&2; exit 1; }
	install -Dm755 $(TARGET)/release/gaoler $(DESTDIR)$(PREFIX)/bin/gaoler
	ln -sf gaoler $(DESTDIR)$(PREFIX)/bin/kubectl-gaoler
	ln -sf gaoler $(DESTDIR)$(PREFIX)/bin/kubectl_complete-gaoler
	$(TARGET)/release/gaoler man $(DESTDIR)$(PREFIX)/share/man/man1
	install -dm755 $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	$(TARGET)/release/gaoler completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/gaoler
	$(TARGET)/release/gaoler completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_gaoler
	install -Dm644 deploy/systemd/gaoler.service $(DESTDIR)/etc/systemd/system/gaoler.service
	install -Dm644 deploy/systemd/gaoler.sysusers $(DESTDIR)/etc/sysusers.d/gaoler.conf
	sed -i 's|/usr/local/bin/gaoler|$(PREFIX)/bin/gaoler|' $(DESTDIR)/etc/systemd/system/gaoler.service
	install -dm755 $(DESTDIR)/etc/gaoler

.PHONY: demo
demo: ## From a log line to a dropped packet, with real packets, in private network namespaces
	@scripts/setup.sh demo
	@$(CARGO) build --locked $(STANDALONE)
	@$(PYTHON) tests/scenario/scenario.py --binary $(TARGET)/debug/gaoler

JAMES_VERSION ?= 3.8.1

.PHONY: test test-james test-chart test-cluster e2e test-all
test: ## Everything that needs no cluster and no James
	@scripts/test.sh
test-james: ## A real James (JAMES_VERSION=…), attacked and used honestly, guarded by Gaoler and by fail2ban
	@scripts/setup.sh james
	@$(CARGO) build --locked $(STANDALONE)
	@$(PYTHON) tests/james/run.py --binary $(TARGET)/debug/gaoler --james $(JAMES_VERSION)
test-chart: ## The chart: lint, values, what is rendered, alerts, dashboard; its objects on a real API server are in test-cluster
	@scripts/setup.sh helm
	@$(PYTHON) tests/chart/run.py
test-cluster: ## A real Kubernetes API server and etcd (built once, some minutes), nodes in namespaces of their own
	@scripts/setup.sh cluster helm
	@$(CARGO) build --locked
	@$(PYTHON) tests/cluster/run.py --jobs 3 --binary $(TARGET)/debug/gaoler
e2e: ## The image and the chart on a whole cluster: three nodes with kubelets, James in pods, attackers outside; needs root
	@scripts/setup.sh e2e
	@$(PYTHON) tests/e2e/run.py --image "$$(scripts/image.sh | sed -n 1p)"
# Of what image.sh prints, the archive's path is the first line. Not `head -1`: it leaves after that line, and the
# script would sometimes end of a pipe closed under it.
test-all: ## All tests; suites run side by side, and each prints what it has to say when it ends
	@scripts/setup.sh test james helm cluster image e2e
	@scripts/test.sh fmt deny
	@rm -f $(FAILED)
	@$(MAKE) -k -j2 -Otarget suite-e2e suite-cluster suite-james suite-harness suite-rust suite-chart || \
	  { printf '\ntest-all: FAILED: %s\n' "$$(paste -sd ' ' $(FAILED))" >&2; exit 1; }

# The suites of test-all, two at a time: most of them wait most of the time. What the image is made of takes the compiler longest, and
# all its suite has to do comes after it: so the others leave it a processor. They run copies of the programs, as cargo
# goes on building, and ask cargo for nothing, because it lets one in at a time.
TESTED := $(TARGET)/tested
FAILED := $(TESTED)/failed
or_told = || { mkdir -p $(TESTED); echo $@ >>$(FAILED); exit 1; }
LEAVE := nice -n 5
.PHONY: suite-e2e suite-cluster suite-james suite-harness suite-rust suite-chart tested
suite-e2e:
	@image=$$(scripts/image.sh | sed -n 1p) && MAKEFLAGS= $(PYTHON) tests/e2e/run.py --image "$$image" $(or_told)
suite-cluster: tested
	@$(LEAVE) $(PYTHON) tests/cluster/run.py --jobs 3 --binary $(TESTED)/whole/gaoler $(or_told)
suite-james: tested
	@$(LEAVE) $(PYTHON) tests/james/run.py --together --binary $(TESTED)/standalone/gaoler --james $(JAMES_VERSION) $(or_told)
suite-harness: tested
	@GAOLER_BINARY=$(TESTED)/whole/gaoler $(LEAVE) scripts/test.sh harness $(or_told)
suite-rust: tested
	@$(LEAVE) scripts/test.sh clippy cargo reference $(or_told)
suite-chart:
	@$(LEAVE) $(PYTHON) tests/chart/run.py $(or_told)
# With a test, so that features of dependencies are those of `cargo test`, which then builds neither again.
tested:
	@scripts/test.sh standalone $(or_told)
	@install -D $(TARGET)/debug/gaoler $(TESTED)/standalone/gaoler
	@$(CARGO) build --locked --bins --test layers $(or_told)
	@install -D $(TARGET)/debug/gaoler $(TESTED)/whole/gaoler

.PHONY: image test-image test-image-twice test-image-arm64
image: ## The container image, as an OCI archive; needs no image registry
	@scripts/setup.sh image
	@scripts/image.sh
test-image: ## What is in the image, and that it works with the rights of the DaemonSet and no others
	@scripts/setup.sh image
	@$(PYTHON) tests/image/run.py "$$(scripts/image.sh | sed -n 1p)"
test-image-twice: ## Two builds of the image from nothing have one digest; no part of test-all, as it takes 16 minutes of CPU
	@scripts/setup.sh image
	@scripts/image-twice.sh
test-image-arm64: ## The image for arm64, cross-built here; its programs run under qemu and say what our own say (8 minutes of CPU)
	@scripts/setup.sh image
	@$(PYTHON) tests/image/foreign.py "$$(scripts/image.sh --platform=linux/arm64 | sed -n 1p)" "$$(scripts/image.sh | sed -n 1p)"

.PHONY: reference
reference: ## Writes docs/reference from the program's own definitions and help
	@$(CARGO) build --locked
	@$(PYTHON) scripts/reference.py $(TARGET)/debug/gaoler
.PHONY: crds chart
crds: build ## Writes the definitions of custom resources from the types
	@$(TARGET)/debug/gaoler crds --to crds
	@$(PYTHON) scripts/chart_copies.py
	@$(PYTHON) scripts/chart_schema.py
chart: ## Writes of the chart what has its source elsewhere: definitions, rights, policies, the schema of specs; and its README from its values
	@scripts/setup.sh helm
	@$(PYTHON) scripts/chart_copies.py
	@$(PYTHON) scripts/chart_schema.py
	@$(PYTHON) scripts/chart_readme.py

.PHONY: fmt lint deny
fmt: ## Formats the code
	$(CARGO) fmt --all
lint: ## Format, clippy (both feature sets), licences and sources of dependencies
	@scripts/setup.sh test
	@scripts/test.sh fmt clippy deny

.PHONY: bench bench-limits bench-cluster acceptance
bench: ## Gaoler beside fail2ban and fail2ban-rs, same input, same run: throughput and latency
	@scripts/setup.sh bench
	$(CARGO) build --locked --profile bench
	$(PYTHON) benches/compare/compare.py --binary $(TARGET)/release/gaoler
	$(PYTHON) tests/acceptance/latency.py --binary $(TARGET)/release/gaoler
bench-limits: ## What a rate limit costs per packet: no rule, iptables recent, ours at 1, 10,000 and 1,000,000 sources (root)
	@scripts/setup.sh test
	$(CARGO) bench --locked $(STANDALONE) --bench ratelimit -- cost
bench-cluster: ## Through a real API server: line written to dropped on every node, unban, 10,000 attackers in 10 s; 3 and 10 nodes; 100,000 bans held
	@scripts/setup.sh cluster
	$(CARGO) build --locked --profile bench
	$(PYTHON) tests/cluster/bench.py --binary $(TARGET)/release/gaoler
	$(PYTHON) tests/cluster/bench_held.py --binary $(TARGET)/release/gaoler
acceptance: bench ## The long measurements: bench, memory, 100 kills, a minute without nft
	@scripts/setup.sh test
	$(PYTHON) tests/acceptance/memory.py --binary $(TARGET)/release/gaoler
	$(PYTHON) tests/harness/run.py --full --binary $(TARGET)/release/gaoler

.PHONY: clean
clean: ## Removes build products (not the cache)
	$(CARGO) clean
