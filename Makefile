# The two commands a newcomer needs are `make demo` and `make test`; each sets up what it needs.

SHELL := /bin/sh
VENV := $(shell tests/venv --where)

.PHONY: help demo test unit functional lab lint bench dist up down

help:
	@echo 'make demo        the main job, told as it happens: from a bare PBX to a record in Odoo'
	@echo 'make test        lint, then every test: unit, functional and lab'
	@echo 'make unit        the tests that need no daemon, no network and no root'
	@echo 'make functional  the tests with real Salt daemons'
	@echo 'make lab         the tests with real Asterisk, Salt and Odoo'
	@echo 'make lint        ruff, salt-lint, yamllint, pylint-odoo'
	@echo 'make dist        the Odoo addons for Odoo 14 to 18, under dist/'
	@echo 'make up, down    the lab: hosts for the demonstration and the tests'

demo:
	@tests/venv
	@$(VENV)/bin/python tests/lab/demo

test:
	@tests/venv
	@tests/run lint unit functional lab

lint unit functional lab:
	@tests/venv
	@tests/run $@

bench:
	@tests/venv
	@$(VENV)/bin/python bench/run

dist:
	@odoo_glue/build

up:
	@tests/lab/lab up

down:
	@tests/lab/lab down
