# Every target sets up what it needs; nothing is done twice. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup parts need-parts demo demo-down test check bench faults audit
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# The first Python from 3.11 on that this user can run and that can make environments.
PYTHON ?= $(shell for p in python3.11 /usr/bin/python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$p" && break; done)
BIN := .venv/bin
EVALUATOR := $(shell find evaluator -name __pycache__ -prune -o -print 2>/dev/null)

PORT ?= 8000
RELEASE ?=
SOURCE ?=

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: parts .venv/.project ## .venv with every package, the evaluator installed into it, Debian's bubblewrap and chromium

demo: setup ## PORT=8000 RELEASE=folder SOURCE='dataset=regex': a server with a ranked board; Ctrl-C stops it
	@exec $(BIN)/python -m demo.run --port '$(PORT)' --release '$(RELEASE)' --source '$(value SOURCE)'

demo-down: setup ## stop a demo left running
	@$(BIN)/python -m demo.run --down

test: setup need-parts ## the whole suite, on two processes with servers of their own
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup ## lint, types, contracts, known-bad patterns, Django's deploy check, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive evaluator leaderboard demo
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(PRODUCTION) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

# As in production; nothing listens at these addresses and nothing needs to.
PRODUCTION = env --unset DEBUG --unset DEMO SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(60))') \
	ALLOWED_HOSTS=leaderboard.example.org DATA_ROOT=$(CURDIR)/var/check \
	DATABASE_URL='postgresql:///leaderboard?host=/nonexistent' REDIS_URL=unix:///nonexistent

bench: setup ## every speed and memory figure beside its goal
	$(BIN)/python -m tests.bench

faults: setup need-parts ## the long form of the fault tests
	$(BIN)/python -m pytest -m faults -s

audit: setup ## packages with known weaknesses; fails on any that could not be looked up
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement requirements.txt

.venv/.made:
	@test -n '$(PYTHON)' || { echo 'No Python 3.11 or newer that can make environments: apt install python3 python3-venv' >&2; exit 1; }
	@echo 'Installing packages into .venv; about 3 GB, a few minutes …'
	@'$(PYTHON)' -m venv .venv
	@touch $@

.venv/.packages: .venv/.made requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement requirements.txt
	@touch $@

# Not editable: the sandboxed child sees the installed evaluator and never the checkout. Old build folders would keep deleted files.
.venv/.project: .venv/.packages pyproject.toml $(EVALUATOR)
	@rm -rf build *.egg-info
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	@rm -rf build *.egg-info
	@touch $@

# Programs that no wheel carries. Installed by apt where that is allowed; else named, and `make test` refuses to run without.
parts:
	@missing="$$($(MISSING))"; test -z "$$missing" || { \
		if test "$$(id -u)" = 0; then root=; elif sudo -n true 2>/dev/null; then root='sudo -n'; else root=false; fi; \
		if command -v apt-get >/dev/null; then \
			$$root apt-get update -qq && \
			$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null || true; \
		fi; }
	@missing="$$($(MISSING))"; test -z "$$missing" || echo "Missing Debian packages: ask an administrator for: apt install $$missing"

need-parts: parts
	@test -z "$$($(MISSING))" || exit 1

MISSING = command -v bwrap >/dev/null || echo -n 'bubblewrap '; command -v chromium >/dev/null || echo -n 'chromium '; \
	fc-list 2>/dev/null | grep -q . || echo -n 'fontconfig fonts-dejavu-core '; test -e .venv/.made -o -n '$(PYTHON)' || echo -n 'python3 python3-venv '
