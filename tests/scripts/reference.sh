#!/usr/bin/env bash
# Writes runbooks/reference/settings.md anew. See `make help`.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --quiet --locked --workspace --bins --tests
target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
written=$(mktemp)
trap 'rm -f "$written"' EXIT
tests/scripts/settings-reference.sh "$target/debug" >"$written"
cat "$written" >runbooks/reference/settings.md
