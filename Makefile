# `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
DIST ?= dist
BIN := .venv/bin
LOCKS := requirements/runtime.lock requirements/dev.lock
PYTEST := $(BIN)/python -m pytest
# `or` would take the rest of a list for further choices.
COMMA := ,
SOURCES := operator/replay_operator tests benchmarks release docs/.site

##@ For everybody
.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup bed ## Record a buffer and save a clip on a real control plane, print where the MP4 is
	@$(BIN)/python -m tests.demo

.PHONY: cluster
cluster: setup bed ## Bring up the real control plane with the node stand-in, until Ctrl-C
	@$(BIN)/python -m tests.testbed up

.PHONY: kind-up
kind-up: ## LiveKit and the operator in a kind cluster, with real containers (needs Docker, kind, kubectl, helm)
	@manifests/kind/kind.sh up

.PHONY: kind-demo
kind-demo: ## Record a buffer and save a clip in that cluster, print where the MP4 is
	@manifests/kind/kind.sh demo

.PHONY: kind-down
kind-down: ## Delete that cluster with everything in it
	@manifests/kind/kind.sh down

##@ For developers
.PHONY: setup
setup: .venv/.stamp system-packages ## Make .venv with replay-operator in it, and what the tests need beside it

.PHONY: check
check: lint unit ## The fast layer: lint, types, import contracts, unit tests

.PHONY: lint
lint: setup ## Style, types, import contracts, generated files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/replay-operator crds crds --pages docs/reference --check
	$(BIN)/python -m replay_operator.cli.metrics_page docs/metrics.md --check
	$(BIN)/replay-operator crds helm/replay-operator/definitions --check
	$(BIN)/python -m tests.helm --check
	$(BIN)/python -m tests.monitoring.dashboard --check
	$(BIN)/python -m tests.monitoring.panel_page --check

.PHONY: unit
unit: setup ## Unit tests alone
	$(PYTEST) -q tests/unit

.PHONY: test
test: setup bed .venv-docs/.stamp ## Every layer, against real parts (about 40 minutes)
	$(PYTEST)

.PHONY: matrix
matrix: setup bed ## Every row of docs/status-matrix.md on the whole stack
	$(PYTEST) tests/flow/test_status_matrix.py

.PHONY: versions
versions: PYTHONS ?= 3.11,3.13
versions: FFMPEGS ?= installed,8,9
versions: setup .venv-docs/.stamp ## Tests with other versions of what we stand on (PYTHONS=3.11,3.13 FFMPEGS=installed,8,9 LIVEKITS= KUBERNETES= TESTS=)
	$(BIN)/python -m tests.versions --pythons "$(PYTHONS)" --ffmpegs "$(FFMPEGS)" --livekits "$(LIVEKITS)" --kubernetes "$(KUBERNETES)" $(TESTS)

.PHONY: e2e-real
e2e-real: setup bed ## Real LiveKit server, real publishers, a recorder that joins: clips checked picture by picture (root)
	$(PYTEST) tests/real --real-rooms -rP

.PHONY: kind-e2e
kind-e2e: setup ## The same with the operator and LiveKit's own egress, in the cluster of make kind-up (Linux, root)
	@manifests/kind/kind.sh e2e

.PHONY: chaos
chaos: setup bed ## N faults (default 40), outages of OUTAGE s: make chaos N=1000 SEED=7 OUTAGE=300
	$(PYTEST) tests/chaos --chaos-faults=$(or $(N),40) --chaos-seed=$(or $(SEED),1) --chaos-outage=$(or $(OUTAGE),20)

.PHONY: kills
kills: setup ## Kill N capture workers (default 50) at random moments: make kills N=200 SEED=7
	$(PYTEST) tests/media/test_killed_worker.py tests/media/test_volume_under_the_worker.py \
		-rP --kills=$(or $(N),50) --kill-seed=$(or $(SEED),1)

.PHONY: bench-scale
bench-scale: setup bed ## Figures for 100, 1000 and 5000 buffers (BUFFERS=100,1000)
	$(BIN)/python -m benchmarks.scale --buffers $(or $(BUFFERS),100$(COMMA)1000$(COMMA)5000)

.PHONY: bench-scale-catalogue
bench-scale-catalogue: setup bed ## What a catalogue costs the operator, there or away (BUFFERS=300)
	$(BIN)/python -m benchmarks.scale.catalogue --buffers $(or $(BUFFERS),300)

.PHONY: bench-agent
bench-agent: setup ## What following segments costs the agent (BUFFERS=1000)
	$(BIN)/python -m benchmarks.agent --buffers $(or $(BUFFERS),1000)

.PHONY: bench-cleaning
bench-cleaning: setup ## What deleting segments costs the agent (ROUNDS=9)
	$(BIN)/python -m benchmarks.cleaning --rounds $(or $(ROUNDS),9)

.PHONY: bench-capture
bench-capture: setup ## What a clip costs, beside the usual way (ROUNDS=5, ONLY="one run")
	$(BIN)/python -m benchmarks.capture --rounds $(or $(ROUNDS),5) --only "$(ONLY)"

.PHONY: bench-moment
bench-moment: setup bed ## From the click to the clip, part by part (CAPTURES=20, FLUSHES=5)
	$(BIN)/python -m benchmarks.moment --captures $(or $(CAPTURES),20) --flushes $(or $(FLUSHES),5)

.PHONY: bench-segments
bench-segments: setup ## What the length of a segment changes (DURATIONS=2,4,6,10,15)
	$(BIN)/python -m benchmarks.segments --durations $(or $(DURATIONS),2$(COMMA)4$(COMMA)6$(COMMA)10$(COMMA)15)

.PHONY: bench-catalogue
bench-catalogue: setup ## What the catalogue answers in how much time (ROWS=1000000)
	$(BIN)/python -m benchmarks.catalogue --rows $(or $(ROWS),1000000)

.PHONY: bench-preview
bench-preview: setup ## What people who look at one buffer cost the agent (VIEWERS=50)
	$(BIN)/python -m benchmarks.preview --viewers $(or $(VIEWERS),50)

.PHONY: bench-upload
bench-upload: setup bed ## Uploads to a real S3 server, beside `aws s3 cp` (MEGABYTES=240, ROUNDS=5)
	$(BIN)/python -m benchmarks.upload --megabytes $(or $(MEGABYTES),240) --rounds $(or $(ROUNDS),5)

.PHONY: bench-load
bench-load: setup ## 500 recordings of real size on this disk: do agent and captures keep their times? (BUFFERS=500, SCALE=0.5)
	$(BIN)/python -m benchmarks.load --buffers $(or $(BUFFERS),500) --scale $(or $(SCALE),auto)

.PHONY: soak
soak: setup bed ## HOURS of churn, captures and faults (default 1): what grows? (SEED=1, BUFFERS=6)
	$(BIN)/python -m benchmarks.soak --hours $(or $(HOURS),1) --seed $(or $(SEED),1) --buffers $(or $(BUFFERS),6)

.PHONY: generate
generate: setup bed ## Write crds/ and docs/ pages from the code, the chart's schema and README, manifests/ from chart and scripts
	$(BIN)/python -m replay_operator.cli.metrics_page docs/metrics.md
	$(BIN)/replay-operator crds crds --pages docs/reference
	$(BIN)/replay-operator crds helm/replay-operator/definitions
	$(BIN)/python -m tests.helm
	$(BIN)/python -m tests.monitoring.dashboard
	$(BIN)/python -m tests.monitoring.panel_page
	$(BIN)/python -m tests.argocd

.PHONY: docs
docs: .venv-docs/.stamp ## Build the documentation site into site/; fails on a broken link
	@.venv-docs/bin/mkdocs build --strict

# Their times come from the commit, so that the same commit gives the same bytes.
.PHONY: package
package: setup ## Build wheel and sdist into dist/, the same bytes each time
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/hatchling build -d $(DIST)

.PHONY: sbom
sbom: .venv-docs/.stamp ## Write the bill of materials of what pip and npm put into the image into dist/
	@mkdir -p $(DIST)
	@PYTHONWARNINGS=ignore .venv-docs/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --spec-version 1.6 \
		--output-format JSON --output-file $(DIST)/replay-operator.cdx.json requirements/runtime.lock
	@.venv-docs/bin/python -m release.bill operator/player/package-lock.json $(DIST)/replay-operator.cdx.json

.PHONY: release-check
release-check: setup bed .venv-docs/.stamp ## Build all that a release has into dist/, and look at versions, licences and bytes
	@$(BIN)/python -m release

.PHONY: record-statuses
record-statuses: setup bed ## Keep what statuses say while contract and flow tests run (or FROM=FILES), for tests/argocd
	$(if $(FROM),,rm -f tests/data/argocd/statuses.jsonl tests/data/argocd/scripted-statuses.jsonl)
	$(PYTEST) -p tests.argocd.recording $(or $(FROM),tests/contract tests/flow)

.PHONY: record-panels
record-panels: setup bed ## Keep what each panel of the dashboard shows on the whole stack, for docs/dashboard.md
	REPLAY_RECORD_PANELS=tests/data/panel-answers.json $(PYTEST) tests/flow/test_monitoring.py
	$(BIN)/python -m tests.monitoring.panel_page

.PHONY: lock
lock: setup ## Pin the dependencies anew
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements/runtime.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group dev pyproject.toml -o requirements/dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group pyproject.toml:docs -o requirements/docs.lock

# An environment of its own: whoever works on the code needs none of it.
.venv-docs/.stamp: requirements/docs.lock
	@echo "setup: making .venv-docs (about twenty seconds)"
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/docs.lock
	@touch $@

# What is slow to build lies in a cache outside the tree, keyed by version: the second time this takes no time.
.PHONY: bed
bed: setup
	@$(BIN)/python -m tests.testbed build

.PHONY: system-packages
system-packages:
	@tests/testbed/system-packages.sh

.venv/.stamp: pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}: set PYTHON=...")'
	@echo "setup: making .venv (about half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
