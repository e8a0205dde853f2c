# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH)
SETUP := @tests/environment/setup
ONLY ?=

.PHONY: help drill test lint build docs bench faults lab-up lab-down lab-shell lab-status clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

drill:  ## build a small flatnet, back it up, destroy it, restore it, prove it; one report
	$(SETUP) drill
	@python -m tests.lab.drill

test:  ## run every test that this machine can run, but the long ones (ONLY=MARKER: one part)
	$(SETUP) test
	@python -m pytest -m '$(or $(ONLY),not long)'
	@$(if $(ONLY),,echo "test: not run were the long tests of the gateway, deselected above: make test ONLY=long")

lint:  ## ansible-lint in production profile, sanity without ignores, mypy strict, ruff
	$(SETUP) work
	@python -m tests.lint

build:  ## build the collection's archive into tests/output
	$(SETUP) work
	@mkdir -p tests/output
	@ansible-galaxy collection build --force --output-path tests/output

docs:  ## run every command of the manual on a lab, as it is printed
	$(SETUP) test
	@python -m pytest -m docs

bench:  ## measure against the same promise by hand (ONLY=ID PREFIX), write docs/benchmarks.*
	$(SETUP) drill
	@python -m tests.bench $(ONLY)

faults:  ## inject every fault (ONLY=ID PREFIX), write docs/faults.*
	$(SETUP) drill
	@python -m tests.faults $(ONLY)

lab-up:  ## make a lab to explore
lab-down:  ## remove it
lab-shell:  ## open a shell on its WSL2 host
lab-status:  ## say what it has and how to reach it
lab-up lab-down lab-shell lab-status: lab-%:
	$(SETUP) drill
	@python -m tests.lab $*

clean:  ## remove the lab and what was made in this checkout; the caches stay
	@test ! -e .cache/venv || python -m tests.lab down
	@rm -rf .cache .ansible tests/output .mypy_cache .pytest_cache .ruff_cache .hypothesis
