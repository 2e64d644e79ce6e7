# What a person types. Each target is one script in tests/scripts; nothing is hidden here.
.DEFAULT_GOAL := help
.PHONY: help bench-db bench-s3 demo images publish reference rehearse test test-long

help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

bench-db: ## migrate-db beside pgcopydb, pg_dump and the old script, between two servers: SCALE=1000 (MB) TABLES=0 ROUNDS=3
	@tests/scripts/bench-db.sh

bench-s3: ## migrate-s3 beside rclone and the old script, between two S3 servers: SMALL=5000 MIDDLE=100 LARGE=4 HUGE_MB=5000 KEYS=1000000 ROUNDS=3
	@tests/scripts/bench-s3.sh

demo: ## Fill a generated estate, migrate it, prove it, report: SCALE=200 (MB) SEED=2023
	@tests/scripts/demo.sh

images: ## Build the images db-migration and s3-migration, with their bills of materials
	@images/scripts/build.sh

publish: ## Build the images and push them to their registries
	@tests/scripts/publish.sh

rehearse: ## The day of the cutover with the images, on one machine: SCALE=200 (MB) SEED=2023
	@tests/scripts/rehearse.sh

reference: ## Write the reference of variables and flags anew, from the programs' --help
	@tests/scripts/reference.sh

test: ## Everything that proves the project: style, lints, unit tests, the suite on real engines
	@tests/scripts/test.sh

test-long: ## Through SSH into a platform at full size: more than 2 GB in one channel, ten channels of 1 GB each
	@TEST_LONG=1 cargo test --locked --workspace --test it channels_carry_any_amount -- --nocapture
