# Stock Pyramid. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod

.PHONY: help up status down clean test check lint race sqlc-diff api-check config-check bench loadtest abuse drill race-drill upgrade-drill restore-drill readme capture rotate generate screenshots fuzz build images compose-up compose-drill compose-down

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: ## Start the whole system on this machine with the demo data (SEED=full: 12 M bids)
	@deploy/local/up

status: ## Show the programs, their ports and the replication lag
	@deploy/local/status

down: ## Stop the whole system; the data stays
	@deploy/local/down

clean: ## Remove the data, the backups and the built programs (after `make down`)
	@deploy/local/clean
	@rm -rf bin

build: ## Build every program into bin/
	$(GO) build -o bin/ ./command ./query ./replicator ./sql ./loadtest

# Packages are tested one after the other, because their servers need all cores, and reads have budgets of milliseconds.
# CI compiles the next packages meanwhile, at the lowest priority, and leaves vetting to the linters of `make check`.
# Elsewhere results are cached, which -exec prevents.
ONE_AT_A_TIME = $(GO) test -vet off -timeout 30m $(if $(CI),-p 3 -toolexec 'nice -n 19' -exec "flock -o '$(CURDIR)/Makefile'",-p 1)

# Some tests need the services of the last release, which are built while the installation waits for the network.
test: ## Run every test against real servers on free ports; installs what is missing
	@$(GO) run ./deploy/release ./command ./query ./replicator >/dev/null & build=$$!; deploy/local/install && deploy/local/install chromium python3 netdata netdata-plugins-python && wait $$build
	$(if $(CI),,$(GO) vet ./...)
	$(ONE_AT_A_TIME) ./...

check: ## Lint, check generated code and configurations, run the tests with the race detector
	@deploy/local/install
	@$(MAKE) --no-print-directory lint sqlc-diff api-check config-check race

lint: ## Run the linters and the import rules
	$(TOOL) golangci-lint run ./...

# sqlc takes minutes to compile. It is not needed while its version, what it reads and what it has made are all as
# sql/sqlc.sums says.
SQLC_SUMS = { grep 'sqlc-dev/sqlc ' go.mod; sha256sum sqlc.yaml $(sort $(wildcard sql/migrations/*.sql sql/queries/*/*.sql sql/*db/*.go)); }

sqlc-diff: ## Fail if the generated database code is not what sqlc makes of sql/queries
	@$(SQLC_SUMS) | cmp -s - sql/sqlc.sums || { echo "sql/sqlc.sums is of other files, so sqlc is asked; make generate writes it" && $(GO) tool sqlc diff; }

api-check: ## Hold the joined OpenAPI document against its parts, and lint all three with redocly and spectral
	$(GO) test -vet off -count 1 ./internal/openapi/...
	@tools/api/lint command/openapi.yaml query/openapi.yaml internal/openapi/openapi.yaml

# A name that one file sets may be used by another file (SC2034), and so may a function's arguments (SC2120).
SCRIPTS = deploy/local/* deploy/compose/images deploy/netdata/*.sh examples/curl/bid.sh tools/api/lint .ci/run
# CI has just run these tests in `make test`.
config-check: ## Let each server check its configuration, and check the scripts
	$(if $(CI),,$(GO) test -vet off -count 1 ./deploy/...)
	@deploy/local/install shellcheck
	@shellcheck -x -P SCRIPTDIR -S warning -e SC2034,SC2120 $(SCRIPTS)

# Packages that start no goroutine are left out, and most tests of whole services, because they take minutes. The histories
# and RACED run the services' programs with the detector. At its end such a program need not wait a second for late reports.
CONCURRENT = git grep -lE '\bgo (func|[a-z][A-Za-z.]*)\(|\.Go\(|\.Parallel\(|httptest\.NewServer|StartProcess' -- '*.go' | xargs dirname | sort -u | sed 's,^,./,'
RACED = -run 'TestABidTravels|TestOneBidPerKey|InAFailover|TestFlushedRedis|TestAPromotion|TestLiveFeedExactlyOnce|TestReplicatorKilled' ./internal/e2e
race: export GORACE = atexit_sleep_ms=0
race: ## Run the packages with the race detector, and histories and a load against programs that have it (HISTORIES=8)
	$(ONE_AT_A_TIME) -race $$($(CONCURRENT) | grep -vE '/(replicator/test|query|loadtest(/internal/(report|dataset))?|internal/e2e(/(abuse|drill|upgrade))?)$$')
	HISTORIES=$(or $(HISTORIES),8) $(GO) test -race -vet off -timeout 30m -run NoHistory ./replicator/test
	$(GO) test -race -vet off -timeout 30m $(RACED)

bench: ## Measure both sides beside their baselines in the same run (BENCH=Read: only those; BENCH_BASE=COMMIT: beside that commit)
	@deploy/local/install
	@deploy/local/install wrk
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime 1x -timeout 60m ./loadtest/internal/bench

loadtest: ## Run the load levels and compare the read paths against the running stack (about 2 minutes)
	@deploy/local/loadtest all

abuse: ## Run every abuse beside a steady load and show what became of it (10 minutes; ABUSE=feed: only those named so)
	@deploy/local/install
	ABUSE_TIME=$(or $(ABUSE_TIME),10s) $(GO) test -run '^TestAbuses' -count 1 -timeout 60m -v ./internal/e2e/abuse

drill: ## Cause every failure for real under load and show what was lost, and which alerts fired (25 minutes; takes root; DRILL=freeze: only those)
	@deploy/local/drill --no-skips $(DRILL)

race-drill: ## Cause the most telling failures under load with programs that have the race detector (4 minutes; takes root; DRILL=freeze: only those)
	@GOFLAGS="$$GOFLAGS -race" deploy/local/drill --no-skips --slack 4 $(or $(DRILL),--short)

upgrade-drill: ## Start the last release, upgrade it and go back under load, and judge that (10 minutes)
	@deploy/local/install
	UPGRADE_ROUNDS=$(or $(UPGRADE_ROUNDS),10) $(GO) test -run '^TestTwoReleasesServeTheSame' -count 1 -timeout 30m -v ./internal/e2e/upgrade
	@OLD_BIN=$$($(GO) run ./deploy/release) && export OLD_BIN && deploy/local/drill upgrade

restore-drill: ## Restore for real: to an earlier moment, Redis alone, and into a new system (2 minutes)
	@deploy/local/install
	$(GO) run ./internal/e2e/restoredrill

readme: ## Run the lines of README.md on a clean clone, on the ports of `make up` (10 minutes; takes root)
	$(GO) run ./internal/e2e/readme

capture: ## With TLS: log in and bid while a program looks for plain text on the loopback device (takes root)
	@deploy/local/ctl capture

rotate: ## Change certificates, keys and passwords of the running TLS stack under load; fails if a request does (2 minutes)
	@set -e; for level in '5 --vusers 20' '6 --vusers 100'; do \
	  deploy/local/loadtest level $$level --duration 70s --max-errors 0 & load=$$!; \
	  for what in certificates keys passwords; do deploy/local/ctl rotate $$what; done; \
	  wait $$load; \
	done

images: ## Build the container images with this machine's Go and docker (ARCHES="amd64 arm64": cross-compiled)
	@deploy/compose/images $(ARCHES)

# docker-compose 1.29 or Compose v2, whichever is there.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) -p pyramid -f deploy/compose/compose.yaml

compose-up: ## Start the whole system in containers with the demo data (after `make images`)
	$(GO) build -o bin/ ./loadtest ./deploy/compose/ctl
	$(COMPOSE) up -d
	$(COMPOSE) run --rm seed
	bin/ctl wait
	bin/ctl loadtest try --url https://127.0.0.1:$(or $(HTTP_PORT),8080)

# The container runtime takes a good part of two cores.
compose-drill: SLACK ?= $(shell [ "$$(nproc)" -ge 4 ] && echo 1 || echo 2)
compose-drill: ## Lose and cut off containers under load and show what was lost (after `make compose-up`; takes root; DRILL=kill: only those)
	bin/ctl loadtest drill --slack $(SLACK) $(or $(DRILL),kill failover partition)

compose-down: ## Remove the containers, and with them all data
	$(COMPOSE) down -v

generate: ## Make the database code from sql/queries, the joined OpenAPI document with its pages, docs/METRICS.md, and the dashboard for Grafana
	$(GO) run ./internal/openapi/generate
	$(GO) run ./deploy/metricsdoc
	$(GO) run ./deploy/grafana/generate
	$(GO) tool sqlc generate
	@$(SQLC_SUMS) >sql/sqlc.sums

screenshots: ## Make the pictures of the page for operators in docs/ (8 minutes)
	@deploy/local/install
	@deploy/local/install chromium
	SCREENSHOTS='$(CURDIR)/docs' $(GO) test -vet off -run '^TestTheOpsPageFitsItsScreens$$' -count 1 -timeout 20m ./internal/e2e

fuzz: ## Fuzz every decoder for FUZZTIME (default 60s) each
	@deploy/local/install
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $${FUZZTIME:-60s} $$pkg; \
	  done; done
