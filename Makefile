# What a person types. Each target is one script in tests/scripts; nothing is hidden here.
.DEFAULT_GOAL := help
.PHONY: help bench-s3 demo test

help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

bench-s3: ## migrate-s3 beside rclone and the old script, between two S3 servers: SMALL=5000 MIDDLE=100 LARGE=4 HUGE_MB=5000 ROUNDS=3
	@tests/scripts/bench-s3.sh

demo: ## Fill a generated estate, migrate it, prove it, report: SCALE=200 (MB) SEED=2023
	@tests/scripts/demo.sh

test: ## Everything that proves the project: style, lints, unit tests, the suite on real engines
	@tests/scripts/test.sh
