# Everything from a fresh clone with Python >= 3.11 and make. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN := $(BIN)/python -m
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

CHAPTER ?=
TWINS := $(wildcard notebooks/text/$(CHAPTER)*.py)
PACKAGE := $(shell find lossbook -name '*.py')

.DEFAULT_GOAL := help
.PHONY: help lab test book setup check notebooks clean
.PRECIOUS: notebooks/%.ipynb

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1@/p' $(firstword $(MAKEFILE_LIST)) | awk -F@ '{ printf "%-18s%s\n", $$1, $$2 }'

lab: setup ## open the book in JupyterLab (OPTIONS=--no-browser goes to it)
	$(BIN)/lossbook lab $(OPTIONS)

book: $(VENV)/.installed-for-book ## build the site in build/book/site; what did not change is kept
	$(BIN)/lossbook book $(OPTIONS)

test: check book ## install what the tests need, check the code, run every test
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist loadfile

setup: $(VENV)/.installed ## make .venv with the locked dependencies and the package

check: $(VENV)/.installed-for-tests ## lint, format, types, and which room imports which
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(BIN)/lint-imports

# The newer of a notebook and its text twin is what counts: the other follows, and then the outputs are made afresh.
notebooks: $(VENV)/.installed-for-tests ## execute the notebooks older than their text or the package (CHAPTER=01: one)
	@$(if $(TWINS),,echo 'notebooks/text has no chapter $(CHAPTER)'; exit 1)
	$(RUN) jupytext --quiet --sync $(TWINS)
	@$(MAKE) --no-print-directory $(TWINS:notebooks/text/%.py=notebooks/%.ipynb)

clean: ## remove .venv and everything else that was made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find lossbook tests notebooks -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'lossbook needs Python 3.11 or newer; $(PYTHON) is not. Name another: make PYTHON=python3.12'; exit 1; }
	@echo 'Installing into $(VENV); the first time takes a few minutes.'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed
	@echo 'Installing what the tests need.'
	@$(INSTALL) '.[test]'
	@touch $@

$(VENV)/.installed-for-book: $(VENV)/.installed
	@echo 'Installing what the book needs.'
	@$(INSTALL) '.[book]'
	@touch $@

notebooks/%.ipynb: notebooks/text/%.py $(PACKAGE)
	$(RUN) nbconvert --to notebook --inplace --execute --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False --log-level=WARN $@
	@touch $@
