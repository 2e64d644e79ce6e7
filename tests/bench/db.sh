#!/bin/bash
# Runs in the container that tests/scripts/bench-db.sh starts: two servers, one table of figures for each database.
set -euo pipefail

bin=$(echo /usr/lib/postgresql/*/bin)
export PATH=$bin:/usr/local/bin:$PATH
work=/var/lib/postgresql
chown postgres: "$work"
psql="psql --no-psqlrc --quiet --host=127.0.0.1 --username=postgres"

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }

# start SIDE PORT: a server that does not wait for the disk, so that programs are compared and not disks.
start() {
    as_postgres "$bin/initdb" --pgdata="$work/$1" --encoding=UTF8 --no-locale --auth=trust --username=postgres --no-sync >/dev/null
    printf '%s\n' "port=$2" "unix_socket_directories='$work'" shared_buffers=512MB max_wal_size=8GB maintenance_work_mem=256MB \
        fsync=off full_page_writes=off autovacuum=off jit=off max_locks_per_transaction=1024 >>"$work/$1/postgresql.conf"
    as_postgres "$bin/pg_ctl" -D "$work/$1" -l "$work/$1.log" -w start >/dev/null
}

# forget_last: makes room. The files of the database that was filled last are emptied where they are: where many were deleted lately,
# a file system of kind ext4 looks at each of them whenever a new one is made (recently_deleted), for minutes.
forget_last() {
    local oid
    oid=$($psql --port=55452 --tuples-only --no-align --command="SELECT oid FROM pg_database WHERE datname = '$filled'" postgres)
    [ -n "$oid" ] || return 0
    $psql --port=55452 --command=CHECKPOINT postgres
    find "$work/target/base/$oid" -type f -exec truncate --size=0 {} +
}

# measure NAME COMMAND: a shell's command into an empty target; one line of the table.
measure() {
    forget_last
    filled=filled_$((++count))
    $psql --port=55452 --command="CREATE DATABASE $filled" --command=CHECKPOINT postgres
    export DATABASE_URL=postgresql://postgres@127.0.0.1:55452/$filled
    rm -rf "$work/dump" "$work/pgcopydb"
    /usr/bin/time --quiet --output="$work/time" --format="%e %U %S %M" bash -c "$2" >"$work/out" 2>&1 ||
        { tail -n 20 "$work/out" >&2; exit 1; }
    awk -v name="$1" '{ printf "| %s | %.1f s | %.1f s | %.0f MB |\n", name, $1, $2 + $3, $4 / 1024 }' "$work/time"
}

# through_ssh: the variables that lead to the same database through a foundation in this container, API, UAA and SSH proxy. Its
# encryption takes its share of the same processors.
through_ssh() {
    coproc foundation { exec foundation --server=127.0.0.1:55451 --database="$database"; }
    read -r -u "${foundation[0]}" way
}

# table DATABASE: every program, round by round.
table() {
    database=$1
    export SOURCE_DATABASE_URL=postgresql://postgres@127.0.0.1:55451/$database
    echo "$($psql --port=55451 --tuples-only --no-align --command="SELECT version() || ', ' || pg_size_pretty(pg_database_size('$database'))" "$database"), $(nproc) cores, $ROUNDS rounds"
    echo
    echo "| | wall | CPU of the clients | largest process |"
    echo "|---|---|---|---|"
    local round
    for ((round = 0; round < ROUNDS; round++)); do
        measure "migrate-db (all read back and compared, statistics)" migrate-db
        through_ssh
        measure "migrate-db through SSH into a platform (all read back and compared, statistics)" \
            "env -u SOURCE_DATABASE_URL $way migrate-db"
        exec {foundation[1]}>&-
        wait "$foundation_PID" 2>/dev/null || true
        measure "migrate-db --copy-only (statistics)" "migrate-db --copy-only || [ \$? = 6 ]"
        measure "pg_dump -Fd -j4 -Zlz4, pg_restore -j4 (no ANALYZE, nothing verified)" \
            "pg_dump -Fd -j4 -Zlz4 -f $work/dump \"\$SOURCE_DATABASE_URL\" && pg_restore -j4 -d \"\$DATABASE_URL\" $work/dump"
        measure "pgcopydb clone, 4 jobs (ANALYZE, nothing verified)" \
            "pgcopydb clone --source \"\$SOURCE_DATABASE_URL\" --target \"\$DATABASE_URL\" --table-jobs 4 --index-jobs 4 --dir $work/pgcopydb"
        measure "the old script: pg_dump -Fc, pg_restore -j4 (no ANALYZE, nothing verified)" \
            "pg_dump -Fc -f $work/dump \"\$SOURCE_DATABASE_URL\" && pg_restore -j4 -d \"\$DATABASE_URL\" $work/dump"
    done
    echo
}

# Databases of the target that were filled: how many, and the last.
count=0 filled=
start source 55451
start target 55452
$psql --port=55451 --command='CREATE DATABASE mixed' postgres
$psql --port=55451 --set=mb="$SCALE" --file=/bench/seed-db.sql mixed >/dev/null
table mixed
if ((TABLES > 0)); then
    $psql --port=55451 --command='CREATE DATABASE many' postgres
    $psql --port=55451 --set=tables="$TABLES" --file=/bench/seed-many.sql many >/dev/null
    table many
fi
