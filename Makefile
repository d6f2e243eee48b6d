# make demo and make test do everything on a fresh machine with Python 3.10 to 3.13.
PYTHON ?= python3
BIN := .venv/bin
# make test TORCH=2.6.0: with this torch, or the newest, in an environment of its own; the other versions stay.
TORCH ?=
# make test ISA=avx2: as on a processor that has no more; on one that has it, avx512 is the default.
ISA ?=
ifneq ($(TORCH),)
BIN := .venv-torch-$(TORCH)/bin
endif
VENV := $(BIN:/bin=)
CONSTRAINTS := $(if $(TORCH),$(VENV)/constraints.txt,constraints.txt)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
# Of torchvision, torch decides.
TORCHES := $(if $(TORCH),$(if $(filter newest,$(TORCH)),torch,torch==$(TORCH)) torchvision)
ISA_ENV := $(if $(ISA),ONEDNN_MAX_CPU_ISA=$(if $(filter avx512,$(ISA)),AVX512_CORE,AVX2) ATEN_CPU_CAPABILITY=$(ISA))

.PHONY: help setup demo test onedl docs wheel faults lint golden fuzz bench bench-gpu clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(VENV)/.run: setup.py constraints.txt
	@echo "setting up $(VENV) (some minutes, downloads torch)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "error: Python 3.10 to 3.13 is needed, $(PYTHON) is another; make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -z "$(TORCH)" || grep -vE '^(torch|torchvision|triton|sympy|nvidia-.*|cuda-.*)==' constraints.txt > $(CONSTRAINTS)
	@$(INSTALL) $(TORCHES) -e '.[mm,fast]'
	@$(BIN)/python -m mmseq.doctor
	@touch $@

# What tests, pages and exports need beside it.
$(VENV)/.ready: $(VENV)/.run
	@$(INSTALL) $(TORCHES) -e '.[mm,fast,app,onnx,log,docs,dev]'
	@touch $@

setup: $(VENV)/.ready  ## install everything into .venv

demo: $(VENV)/.run  ## fine-tune and evaluate a small model in both tasks on the embedded data
	@MMSEQ_PARENT=$$PPID exec $(BIN)/python tools/demo.py

test: $(VENV)/.ready  ## run the tests, in two processes: half the time
	@$(ISA_ENV) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# An environment of its own: both lines of OpenMMLab's packages have the same import names.
onedl: $(VENV)/.ready  ## install the maintained line of OpenMMLab into .venv-onedl; both demo models train a step on it
	@test -x .venv-onedl/bin/python || $(PYTHON) -m venv .venv-onedl
	@.venv-onedl/bin/python -m pip install --quiet --disable-pip-version-check -e '.[onedl]'
	@MMSEQ_ONEDL_PYTHON=$(CURDIR)/.venv-onedl/bin/python $(BIN)/python -m pytest tests/compat/test_package_names.py

docs: $(VENV)/.ready  ## build the documentation site into build/docs
	@$(BIN)/python -m sphinx -W --keep-going -q -E -d build/doctrees -b html docs build/docs
	@echo "look at build/docs/index.html"

# An environment of its own again: what is installed is the wheel alone, and it is started from another folder.
wheel:  ## build sdist and wheel into dist, check them, install the wheel and start it
	@test -x .venv-wheel/bin/python || $(PYTHON) -m venv .venv-wheel
	@rm -rf dist && .venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check build twine
	@.venv-wheel/bin/python -m build --outdir dist .
	@.venv-wheel/bin/python -m twine check --strict dist/*
	@.venv-wheel/bin/python -m pip uninstall --quiet --yes mmseq
	@.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$(echo dist/*.whl)[mm]"
	@cd dist && ../.venv-wheel/bin/mmseq --version && ../.venv-wheel/bin/mmseq doctor
	@cd dist && ../.venv-wheel/bin/mmseq configs --reported

faults: $(VENV)/.ready  ## kill, restart and cut off trainings for half an hour; counts go to benchmarks/results
	@PYTHONPATH=. $(BIN)/python tests/faults/kills.py --toy 60 --toy-epochs 20 \
		--out benchmarks/results/faults_kills_toys.json
	@PYTHONPATH=. $(BIN)/python tests/faults/kills.py --seg 14 --det 8 --out benchmarks/results/faults_kills_models.json
	@PYTHONPATH=. $(BIN)/python tests/faults/elastic.py --restarts 20 --out benchmarks/results/faults_elastic.json
	@$(BIN)/python -m pytest -m 'long or not long' tests/faults

lint: $(VENV)/.ready  ## ruff, and mypy over the package
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy

golden: $(VENV)/.ready  ## fifty iterations of every family and task, compared with the losses that are kept; some minutes
	@$(BIN)/python -m benchmarks.golden

fuzz: $(VENV)/.ready  ## convert 4000 damaged and hostile checkpoints
	@$(BIN)/python -m benchmarks.fuzz

bench: $(VENV)/.ready  ## our backbones and operators beside their peers: tables, JSON and plots; about an hour on a CPU
	@$(BIN)/python benchmarks/ops.py
	@$(BIN)/python benchmarks/backbones.py $(if $(PEERS),--peers $(PEERS))
	@$(BIN)/python benchmarks/backbones.py $(if $(PEERS),--peers $(PEERS)) --sizes 224 --batches 2 4 8 --no-memory
	@$(BIN)/python benchmarks/backbones.py $(if $(PEERS),--peers $(PEERS)) --same-allocator --sizes 512 --no-memory
	@for results in benchmarks/results/backbones_[cg]pu.json; do $(BIN)/python benchmarks/plot.py $$results; done
	@$(BIN)/python benchmarks/tables.py

bench-gpu: $(VENV)/.ready  ## the Triton kernels on a GPU: correctness first, then everything that is timed
	@$(BIN)/python benchmarks/gpu_bilstm2d.py --out benchmarks/results/gpu_bilstm2d
	@$(BIN)/python benchmarks/gpu_mlstm.py --out benchmarks/results/gpu_mlstm
	@$(MAKE) bench

clean:  ## remove what make set up; outputs in work_dirs stay
	rm -rf .venv .venv-onedl .venv-wheel .venv-torch-* build dist *.egg-info
