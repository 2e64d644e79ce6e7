#!/usr/bin/env bash
# migrate-db beside pgcopydb, pg_dump + pg_restore and the old script, whole processes in one run, in one container with a
# source and a target server. See `make help`.
# SCALE= megabytes (1000), TABLES= small tables of a second database (0: none), ROUNDS= (3). Needs Docker; root to build the
# container's image.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v docker >/dev/null || { echo "bench-db: docker is missing (apt-get install docker.io)" >&2; exit 2; }
image=$(tests/images/build.sh peers-db)
cargo build --quiet --release --locked --workspace --bins
target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# The servers' files lie in a volume: the container's own layers may be a file system in user space, which would be measured too.
docker run --rm --network=none --shm-size=1g --mount=type=volume,dst=/var/lib/postgresql --env=SCALE="${SCALE:-1000}" --env=TABLES="${TABLES:-0}" --env=ROUNDS="${ROUNDS:-3}" \
    --volume="$target/release/migrate-db:/usr/local/bin/migrate-db:ro" --volume="$target/release/foundation:/usr/local/bin/foundation:ro" \
    --volume="$PWD/tests/bench:/bench:ro" \
    "$image" /bin/bash /bench/db.sh
