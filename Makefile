# One command each; `make setup` first. PYTHON=python3.12 picks another one.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup test lint docs report

setup:  ## an environment with everything that tests, docs and notebooks need
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[test,docs,notebook,tensorboard,wandb]'

test:
	$(BIN)/python -m pytest -q -n auto --dist loadfile

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs:  ## into docs/site; warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going docs docs/site

report:  ## into results/report/index.html
	$(BIN)/python -m benchmark report
