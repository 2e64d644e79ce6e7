#!/usr/bin/env bash
# migrate-db beside pg_dump + pg_restore, between two local PostgreSQL servers, whole processes in one run. See `make help`.
# SCALE= megabytes (1000), ROUNDS= (3). As root, on a machine with PostgreSQL's server and GNU time.
set -euo pipefail
cd "$(dirname "$0")/../.."

scale=${SCALE:-1000}
rounds=${ROUNDS:-3}
for tool in /usr/bin/time cargo; do
    command -v "$tool" >/dev/null || { echo "bench-db: $tool is missing (apt-get install time)" >&2; exit 2; }
done
[[ $(id -u) -eq 0 ]] || { echo "bench-db: run as root; the servers run as postgres" >&2; exit 2; }
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $bin/postgres ]] || { echo "bench-db: no PostgreSQL server is installed (apt-get install postgresql)" >&2; exit 2; }

cargo build --quiet --release --locked --workspace --bins
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-db.XXXXXX")
chmod 711 "$work"
stop() {
    for side in source target; do su postgres -c "$bin/pg_ctl -D $work/$side -m immediate stop" >/dev/null 2>&1 || true; done
    rm -rf -- "$work"
}
trap stop EXIT

# start SIDE PORT: a server that does not wait for the disk, so that programs are compared and not disks.
start() {
    install -d -o postgres "$work/$1"
    su postgres -c "$bin/initdb --pgdata=$work/$1 --auth=trust --username=postgres --no-sync" >/dev/null
    printf '%s\n' "port=$2" "unix_socket_directories='$work/$1'" shared_buffers=512MB max_wal_size=8GB maintenance_work_mem=256MB \
        fsync=off full_page_writes=off autovacuum=off >>"$work/$1/postgresql.conf"
    su postgres -c "$bin/pg_ctl -D $work/$1 -l $work/$1/log -w start" >/dev/null
}
start source 55451
start target 55452
export SOURCE_DATABASE_URL=postgresql://postgres@127.0.0.1:55451/bench DATABASE_URL=postgresql://postgres@127.0.0.1:55452/bench
psql="$bin/psql --no-psqlrc --quiet --host=127.0.0.1 --username=postgres"
$psql --port=55451 --command='CREATE DATABASE bench' postgres
$psql --port=55451 --set=mb="$scale" --file=tests/bench/seed-db.sql bench >/dev/null

# measure NAME COMMAND...: into an empty target; one line of the table.
measure() {
    local name=$1
    shift
    $psql --port=55452 --command='DROP DATABASE IF EXISTS bench' --command='CREATE DATABASE bench' --command=CHECKPOINT postgres 2>/dev/null
    /usr/bin/time --quiet --output="$work/time" --format="%e %U %S %M" "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
    awk -v name="$name" '{ printf "| %s | %.1f s | %.1f s | %.0f MB |\n", name, $1, $2 + $3, $4 / 1024 }' "$work/time"
}
dump_and_restore() {
    measure "pg_dump -Fd -j4, pg_restore -j4 (neither ANALYZE nor any verification)" bash -c \
        "rm -rf $work/dump && $bin/pg_dump -Fd -j4 -f $work/dump '$SOURCE_DATABASE_URL' && $bin/pg_restore -j4 -d '$DATABASE_URL' $work/dump"
}
echo "$($psql --port=55451 --tuples-only --no-align --command="SELECT version() || ', ' || pg_size_pretty(pg_database_size('bench'))" bench), $(nproc) cores, $rounds rounds"
echo
echo "| | wall | CPU of the clients | largest process |"
echo "|---|---|---|---|"
target=${CARGO_TARGET_DIR:-target}
for ((round = 0; round < rounds; round++)); do
    measure "migrate-db (everything verified, ANALYZE)" "$target/release/migrate-db"
    dump_and_restore
done
