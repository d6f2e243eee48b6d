# make demo and make test do everything on a fresh machine with Python 3.10 to 3.13.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test lint fuzz clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

.venv/.ready: setup.py constraints.txt
	@echo "setting up .venv (some minutes, downloads torch)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "error: Python 3.10 to 3.13 is needed, $(PYTHON) is another; make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mm,dev]'
	@$(BIN)/python -m mmseq.doctor
	@touch $@

setup: .venv/.ready  ## install everything into .venv

demo: .venv/.ready  ## fine-tune and evaluate a small model in both tasks on the embedded data
	@$(BIN)/python tools/demo.py

test: .venv/.ready  ## run the tests
	@$(BIN)/python -m pytest

lint: .venv/.ready  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

fuzz: .venv/.ready  ## convert 4000 damaged and hostile checkpoints
	@$(BIN)/python benchmarks/fuzz_checkpoints.py

clean:  ## remove what make set up; outputs in work_dirs stay
	rm -rf .venv build *.egg-info
