# What a person types. Each target is one script in tests/scripts; nothing is hidden here.
.DEFAULT_GOAL := help
.PHONY: help demo test

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo: ## Fill a generated estate, migrate it, prove it, report: SCALE=200 (MB) SEED=2023
	@tests/scripts/demo.sh

test: ## Everything that proves the project: style, lints, unit tests, the suite on real engines
	@tests/scripts/test.sh
