# Every command of the project. `make` alone lists them.

VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := tests/samples/corpus
INPUT ?= $(SAMPLE)
CORPUS ?= $(if $(filter $(SAMPLE),$(INPUT)),sample)
# Further options, for example: make run ARGS="--do tokenize --workers 4".
ARGS ?=
# The build of torch for the extra `models`: auto (the CPU build unless this machine has an NVIDIA driver), cpu, cuda, or
# none: then nothing can be summarized or classified.
TORCH ?= auto
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
HAS_GPU := $(wildcard /proc/driver/nvidia/version)
# What `make run` does; without torch only what needs none.
DO ?= $(if $(filter none,$(TORCH)),count$(comma)tokenize,count$(comma)tokenize$(comma)summarize$(comma)classify)
comma := ,
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# The sets that the models which come along are trained on, and the larger tests read.
HANMILL_TEST_DATA ?= ../shared/data

# Exported, not pasted into the recipe: a path may hold blanks and quotes.
export INPUT CORPUS

.DEFAULT_GOAL := help
.PHONY: help setup run test chaos recovery check format readme pictures bench dictionary bench-exact fuzz models wheel clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.base $(if $(filter-out none,$(TORCH)),$(VENV)/.torch-$(TORCH)) ## make .venv with everything (TORCH=cpu|cuda|none picks the build of torch)

run: setup ## count, tokenize, summarize and classify the sample corpus, or INPUT=path, into corpus CORPUS=name
	@# A corpus is named after its input, so that two inputs do not become one corpus by accident.
	@name=$${INPUT%/}; name=$${name##*/}; name=$${name%%.*}; set -x; \
	$(BIN)/hanmill run "$$INPUT" --corpus "$${CORPUS:-$${name:-here}}" --do $(DO) $(ARGS)

test: setup ## run every test but the benchmarks; what was skipped is listed with its reason
	$(BIN)/python -m pytest -rs --numprocesses=auto --maxprocesses=4 --dist=worksteal $(ARGS)

recovery: setup ## measure how soon work goes on after the death of a process, a worker, Redis: five times each (minutes; HANMILL_TEST_LEASE_S=60 for the default lease)
	HANMILL_TEST_RECOVERIES=5 $(BIN)/python -m pytest -q -s tests/faults/test_recovery.py $(ARGS)

chaos: setup ## play 200 seeded schedules of faults, compare the results (half an hour); SEED=n plays one again
	$(BIN)/python -m tests.faults.chaos $(if $(SEED),--seed $(SEED),--write) $(ARGS)

check: setup ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into the one format, mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: setup ## fill the README's settings table and tree, and the reference in docs/, from the code
	PYTHONPATH=. $(BIN)/python .ci/fill_readme.py
	PYTHONPATH=. $(BIN)/python .ci/fill_reference.py

pictures: setup ## take the pictures of the documentation anew (needs chromium and Prometheus)
	HANMILL_TEST_PICTURES=deploy/pictures $(BIN)/python -m pytest -q -rs tests/integration/test_flower_browser.py \
	  tests/integration/test_dashboard.py tests/integration/test_report_browser.py $(ARGS)

bench: setup ## measure the whole job against the serial reference loop (ARGS="--limit-mb 20" for a part of the text)
	$(BIN)/python -m tests.bench.whole_job $(ARGS)

dictionary: setup ## make the compact form of jieba's dictionary that comes along (after a new version of jieba)
	$(BIN)/python -m tasks.text.compact_frequencies

bench-exact: setup ## compare the tokens of the fast engine with jieba's on everything in HANMILL_TEST_DATA (minutes)
	$(BIN)/python -m tests.bench.exact_tokens $(ARGS)

# Two processes at most: a test machine has other things to do. Findings are kept in fuzz-findings/.
fuzz: setup ## put 100,000 bad files of every format through readers, ledger and SQL (ten minutes; ARGS="--seed 1" plays them again)
	$(BIN)/python -m tests.fuzz.run --processes 2 $(ARGS)
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; then mkdir -p fuzz-findings/corpus && \
	  $(BIN)/python -m tests.fuzz.atheris_target -max_total_time=60 -artifact_prefix=fuzz-findings/ -verbosity=0 \
	    -print_final_stats=1 fuzz-findings/corpus; \
	else echo "skipped: atheris is not installed (it has wheels for Linux on x86-64 only)"; fi

models: setup ## train the models that come along anew, from the sets in HANMILL_TEST_DATA (minutes)
	$(BIN)/python -m tasks.summarize.train_default "$(HANMILL_TEST_DATA)" tasks/summarize/default
	$(BIN)/python -m tasks.summarize.train_default_extract "$(HANMILL_TEST_DATA)"
	$(BIN)/python -m tasks.classify.train_default "$(HANMILL_TEST_DATA)"

wheel: setup ## build the wheel, install it into an empty environment and count the sample from there
	VENV=$(VENV) .ci/try-wheel

clean: ## remove .venv, caches and builds; results (.hanmill) stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find workers tasks storage tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last: a set-up that was cut short is done again.
$(VENV)/.base: pyproject.toml
	@VENV=$(VENV) PYTHON="$(PYTHON)" .ci/make-venv
	@echo "Installing hanmill and what it needs into $(VENV) (a minute or two, once) ..."
	@$(PIP) install --editable '.[postgres,ops,dev]'
	@touch $@

# PyPI's build for Linux brings gigabytes of CUDA libraries. Where there is no GPU the CPU build is looked for first;
# when its index does not answer, the other one serves as well.
$(VENV)/.torch-auto: $(VENV)/.base
	@echo "Installing torch and what the models need ..."
	$(if $(HAS_GPU),,@$(PIP) install --timeout 15 --retries 0 --no-deps --index-url $(TORCH_INDEX) torch==2.13.0 \
	  2>/dev/null || true)
	@$(PIP) install --editable '.[models]'
	@touch $@

$(VENV)/.torch-cpu: $(VENV)/.base
	$(PIP) install --extra-index-url $(TORCH_INDEX) --editable '.[models]'
	@touch $@

# "===" compares letter by letter and so leaves out the builds that are marked +cpu.
$(VENV)/.torch-cuda: $(VENV)/.base
	$(PIP) install 'torch===2.13.0' --editable '.[models]'
	@touch $@
