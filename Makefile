# FedHealth. `make` alone lists what can be done.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install -qq -c constraints.txt
PINS := pyproject.toml constraints.txt
DIST := dist
# Every reader has three such tests or more: 100,000 inputs each.
FUZZ_EXAMPLES := $(or $(FEDHEALTH_FUZZ_EXAMPLES),35000)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up test fuzz faults check full docs screenshots notebooks images release demo clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s  %s\n", $$1, $$2}' Makefile

up: .venv/.api ## train on synthetic data if need be, then serve API and dashboards; Ctrl-C stops it
	@echo "Starting FedHealth"
	@$(BIN)/fedhealth up

test: .venv/.all ## install everything and run the tests
	@echo "Running the tests, without the slow ones, a worker on each core"
	@$(BIN)/pytest -n auto --dist worksteal

full: .venv/.all ## run all tests, the slow ones too
	@echo "Running all tests"
	@$(BIN)/pytest -m ""

fuzz: .venv/.all ## make up and damage very many inputs (hours); FEDHEALTH_FUZZ_EXAMPLES=1000 for fewer
	@echo "Trying made-up and damaged inputs, $(FUZZ_EXAMPLES) in each test"
	@FEDHEALTH_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -n auto -m fuzz --timeout 0

faults: .venv/.all ## break training runs in many ways, and say what each fault cost (an hour)
	@echo "Injecting faults into runs between processes"
	@$(BIN)/python benchmarks/faults.py
	@$(BIN)/python benchmarks/faults.py --noisy --phases rounds

check: .venv/.all ## check style, types, floors, dead code and dependencies
	@echo "Checking style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "Checking types"
	@$(BIN)/mypy --strict src
	@echo "Checking that imports only point down"
	@$(BIN)/lint-imports --no-logo
	@echo "Looking for dead code"
	@$(BIN)/vulture
	@echo "Comparing dependencies with imports"
	@$(BIN)/deptry src

docs: .venv/.all ## build the documentation into site/, to be opened in a browser
	@echo "Building the documentation"
	@$(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

screenshots: .venv/.all ## take pictures of every page, both widths, light and dark, into screenshots/
	@echo "Opening every page in Chromium"
	@$(BIN)/pytest -q -m full tests/dashboards/test_axe.py
	@mkdir -p docs/pictures
	@cp screenshots/citizen_light_1280.png docs/pictures/citizen.png
	@cp screenshots/admin_overview_light_1280.png docs/pictures/public_health.png

notebooks: .venv/.all ## run the notebooks
	@echo "Running the notebooks"
	@$(BIN)/pytest -m "" tests/shipping/test_notebooks.py

images: ## build the images of API, dashboards, nodes, and of the server with MLflow, with Docker
	@for name in api dashboard node; do \
		echo "Building federated-health-$$name"; \
		docker build -q -f Dockerfile.$$name -t federated-health-$$name . || exit; \
	done
	@echo "Building federated-health-tracking"
	@docker build -q -f Dockerfile.node --target tracking -t federated-health-tracking .

release: $(BIN)/pip ## build the wheel into dist/, beside the versions it was tested with and checksums of both
	@echo "Building the wheel"
	@rm -rf build $(DIST)
	@PIP_CONSTRAINT=constraints.txt SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(BIN)/pip wheel -q --no-deps --wheel-dir $(DIST) .
	@cp constraints.txt $(DIST)
	@cd $(DIST) && sha256sum -- *.whl constraints.txt > SHA256SUMS && cat SHA256SUMS

demo: .venv/.all ## make the synthetic model in models/ anew and sign it (for maintainers, after a change of training)
	@$(BIN)/python tools/make_demo.py

clean: ## remove .venv, caches and what was built; data, models and stores stay
	@echo "Removing .venv, caches and what was built"
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis build dist site
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@find . -name '*.egg-info' -prune -exec rm -rf {} +

$(BIN)/pip:
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"FedHealth needs Python 3.11 or newer, got %s; try make PYTHON=/path/to/python" % sys.version.split()[0])'
	@$(PYTHON) -m venv .venv

# Installs run again only when the pins or pyproject.toml are newer than these stamps.
.venv/.api: $(PINS) | $(BIN)/pip
	@echo "Installing FedHealth, its API and dashboards into .venv (about a minute)"
	@$(PIP) -r requirements_api.txt -r requirements_dashboard.txt
	@touch $@

.venv/.all: $(PINS) | $(BIN)/pip
	@echo "Installing FedHealth with everything developers need into .venv (a few minutes)"
	@$(PIP) torch  # first and alone, so that a CPU build at hand is taken; constraints.txt names the version
	@$(PIP) -r requirements.txt
	@touch .venv/.api $@
