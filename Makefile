# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3.11
BIN := .venv/bin
# Test processes of each of the two runs: twice what two cores have, for many tests wait for processes.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-oldest kill-matrix kill-soak fuzz check check-agent-pythons check-arm64 check-tflite-runtime studio bundles deb bench-agent clean

help:  ## show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup:  ## create .venv with the pinned versions
	@$(PYTHON) scripts/set_up.py

demo: setup  ## run the whole loop under ./demo: data, training, conversion, fleet, a bad version stopped
	@$(BIN)/python -m scripts.demo --folder demo

test: setup  ## run the tests, and beside them test-oldest's
	@$(BIN)/python -m scripts.run_tests --jobs $(JOBS)

test-oldest:  ## run the contract's and the agent's tests on Python 3.10, where it is installed
	@$(BIN)/python -m scripts.agent_pythons --only 3.10 --tests

kill-matrix: setup  ## every update state × {error, SIGKILL, hang, disk full, power cut}, as a table
	@$(BIN)/python -m scripts.kill_matrix

kill-soak: setup  ## the kill matrix with 1,000 SIGKILLs of a real agent
	@$(BIN)/python -m scripts.kill_matrix --kills 1000

fuzz: setup  ## bad bytes at every door of the agent, a minute each (FUZZ="--seconds 5 --seed 3" for others)
	@$(BIN)/python -m scripts.fuzz $(FUZZ)

check: setup  ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

check-agent-pythons: setup  ## install the agent by its extra alone on Python 3.10 to 3.13 and run a package
	@$(BIN)/python -m scripts.agent_pythons

check-arm64: setup  ## answer golden samples on aarch64 under qemu-user (Debian 12; downloads about 220 MB once)
	@$(BIN)/python -m scripts.check_arm64

check-tflite-runtime: setup  ## answer golden samples with the older tflite-runtime in an environment of its own
	@$(BIN)/python -m scripts.check_tflite_runtime

studio: setup  ## open the window
	@$(BIN)/eyelet-studio

bundles: setup  ## build the PyInstaller bundles of the agent and the studio shell and start each once
	@$(BIN)/python -m scripts.build_bundles

deb: setup  ## build a Debian package of the agent and install, upgrade, remove and purge it below a temporary root
	@$(BIN)/python -m scripts.build_deb

bench-agent: setup  ## measure the agent: engine, endpoint, other servers, isolation, swap, recovery, memory, CPU, start, watching
	@$(BIN)/python -m scripts.bench_agent

clean:  ## remove what was built; the data of ./demo stays
	rm -rf build dist .ruff_cache .mypy_cache .hypothesis
