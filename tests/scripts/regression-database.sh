#!/bin/bash
# PostgreSQL's own regression database, migrated from one major to another and judged by pg_dump.
#
#   tests/scripts/regression-database.sh SOURCE_MAJOR TARGET_MAJOR [OPTION OF migrate-db …]
#
# Majors 13, 15, 17 and 18. The scripts that fill the database come from Debian's source package of the source's major,
# through the package sources that this machine is set up with; so do the C functions of both majors (without a compiler these
# are missing, and the scripts go on). Two containers run the servers; they are removed at the end.
#
# Printed is what migrate-db found, and then how its target differs from what `pg_dump | psql` of the same source makes, which
# is nothing at all when all is well: what a newer major cannot hold, neither of them brings. Exits 1 when it differs.
#
# Needs docker, curl, xz and bzip2; `cargo build` before; REGRESSION_CACHE names a directory that keeps the downloads.
# MIGRATE_DB and PG_BIN_DIR name other programs than those of the target directory.
set -euo pipefail

source_major=${1:?"usage: $(sed -n 's/^#   //p' "$0" | head -n 1)"}
target_major=${2:?"no TARGET_MAJOR"}
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}
migrate_db=${MIGRATE_DB:-$built/debug/migrate-db}
newest=$((source_major > target_major ? source_major : target_major))
client=${PG_BIN_DIR:-$(ls -d "$built"/test-tools/*postgres-"$newest"*/bin 2>/dev/null | head -n 1)}
[ -x "$client/pg_dump" ] || { echo "no pg_dump $newest: name one in PG_BIN_DIR, or run the suite once" >&2; exit 2; }

work=$(mktemp -d)
cache=${REGRESSION_CACHE:-$work/cache}
containers=()
trap '[ ${#containers[@]} -eq 0 ] || docker rm --force --volumes "${containers[@]}" >/dev/null; rm -rf "$work"' EXIT
mkdir -p "$cache"

mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
    sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' | grep -E '/debian/?$' | head -n 1)
suite() { case $1 in 13) echo bullseye ;; 15) echo bookworm ;; 17) echo trixie ;; 18) echo sid ;; *) return 1 ;; esac; }
# fetch URL FILE
fetch() { [ -s "$2" ] || { curl --fail --silent --show-error --location --max-time 300 --output "$2.part" "$1" && mv "$2.part" "$2"; }; }

# prepare MAJOR: its scripts in $work/MAJOR/source, and its C functions, which no other major loads, in $work/MAJOR/library.
prepare() {
    local major=$1 index=$cache/Sources-$1.xz paragraph archive version minor pool package include file
    [ ! -d "$work/$major" ] || return 0
    mkdir -p "$work/$major/source" "$work/$major/library"
    fetch "$mirror/dists/$(suite "$major")/main/source/Sources.xz" "$index"
    paragraph=$(xz -dc "$index" | awk -v name="postgresql-$major" '$1 == "Package:" { on = $2 == name } on')
    archive=$(grep -o "postgresql-${major}_[^ ]*\.orig\.tar\.bz2" <<<"$paragraph" | tail -n 1)
    version=$(awk '$1 == "Version:" { print $2 }' <<<"$paragraph" | tail -n 1)
    pool=$mirror/pool/main/p/postgresql-$major
    # The scripts of an earlier minor will do where a mirror lacks the newest.
    minor=${version#*.} minor=${minor%%[!0-9]*}
    until fetch "$pool/$archive" "$cache/$archive"; do
        ((--minor > 0)) || return 1
        archive=postgresql-${major}_$major.$minor.orig.tar.bz2
    done
    tar -C "$work/$major/source" --strip-components=1 -xjf "$cache/$archive" --wildcards '*/src/test/regress/*' '*/contrib/spi/*'
    command -v gcc >/dev/null && command -v dpkg-deb >/dev/null || return 0
    package=postgresql-server-dev-${major}_${version#*:}_$(dpkg --print-architecture).deb
    fetch "$pool/$package" "$cache/$package" && dpkg-deb -x "$cache/$package" "$work/$major/headers"
    include=$work/$major/headers/usr/include/postgresql
    for file in "$work/$major"/source/{src/test/regress/regress,contrib/spi/autoinc,contrib/spi/refint}.c; do
        gcc -w -O1 -fPIC -shared -I"$include/$major/server" -I"$include/internal" -I"$(dirname "$file")" \
            -o "$work/$major/library/$(basename "$file" .c).so" "$file" || echo "$file cannot be compiled; going on" >&2
    done
}
prepare "$source_major"
prepare "$target_major"
regress=$work/$source_major/source/src/test/regress
# Before 15 some scripts were templates.
for template in "$regress"/input/*.source; do
    [ -e "$template" ] || continue
    sed -e 's#@abs_srcdir@#/regress#g; s#@abs_builddir@#/tmp#g; s#@testtablespace@#/tmp/testtablespace#g' \
        -e 's#@libdir@#/library#g; s#@DLSUFFIX@#.so#g' "$template" >"$regress/sql/$(basename "$template" .source).sql"
done
chmod -R a+rX "$work"

# server MAJOR: starts one and sets $container and $port.
server() {
    container=$(docker run --detach --shm-size 256m --publish 127.0.0.1::5432 --volume "$regress:/regress:ro" \
        --volume "$work/$1/library:/library:ro" --entrypoint /bin/sh "$("$root/tests/images/build.sh" "postgres-$1")" -c "
        mkdir -p /var/run/postgresql /data && chown postgres /var/run/postgresql /data && exec su postgres -s /bin/sh -c '
        cd /data && bin=\$(ls -d /usr/lib/postgresql/*/bin) && \$bin/initdb -D /data -U postgres -A trust --encoding=UTF8 --locale=C >/dev/null &&
        echo host all all all trust >>/data/pg_hba.conf && exec \$bin/postgres -D /data -c listen_addresses=* -c fsync=off -c jit=off \
        -c max_prepared_transactions=5 -c wal_level=logical'")
    containers+=("$container")
    port=$(docker port "$container" 5432 | head -n 1 | sed 's/.*://')
    for _ in $(seq 120); do
        "$client/psql" -qXAt -h 127.0.0.1 -p "$port" -U postgres -c 'SELECT 1' >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "PostgreSQL $1 does not start" >&2
    exit 1
}
server "$source_major"
source_container=$container source_port=$port
server "$target_major"
target_port=$port
on_target() { "$client/psql" -qXAt -h 127.0.0.1 -p "$target_port" -U postgres "$@"; }

echo "filling the regression database of PostgreSQL $source_major"
docker exec --user postgres "$source_container" sh -c '
    export PGTZ=PST8PDT PGDATESTYLE="Postgres, MDY" PGOPTIONS="-c intervalstyle=postgres_verbose"
    export PG_ABS_SRCDIR=/regress PG_ABS_BUILDDIR=/tmp PG_LIBDIR=/library PG_DLSUFFIX=.so
    mkdir -p /tmp/results /tmp/testtablespace; cd /tmp
    psql -qX -c "CREATE DATABASE regression TEMPLATE template0"
    for test in $(sed -n "s/^test://p" /regress/parallel_schedule); do
        [ "$test" = tablespace ] || timeout 120 psql -Xaq -d regression </regress/sql/$test.sql >/tmp/results/$test.out 2>&1 || true
    done'
roles="SELECT format('CREATE ROLE %I', rolname) FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'"
"$client/psql" -qXAt -h 127.0.0.1 -p "$source_port" -U postgres -c "$roles" | while read -r role; do on_target -c "$role"; done
on_target -c 'CREATE DATABASE migrated TEMPLATE template0' -c 'CREATE DATABASE reference TEMPLATE template0'

code=0
SOURCE_DATABASE_URL="postgresql://postgres:none@127.0.0.1:$source_port/regression" PG_BIN_DIR=$client \
    DATABASE_URL="postgresql://postgres:none@127.0.0.1:$target_port/migrated" "$migrate_db" "$@" 2>"$work/stderr" || code=$?
echo "migrate-db ended with $code"

# dump PORT DATABASE: rows in a stable order, without what differs in each dump.
dump() {
    "$client/pg_dump" --no-owner --no-acl --exclude-schema=migrate_db -h 127.0.0.1 -p "$1" -U postgres "$2"
}
settled() {
    LC_ALL=C awk '/^\\\.$/ { close(sort); rows = 0 } rows { print | sort; next }
        /^$|^--|^SET |^\\(un)?restrict|^SELECT pg_catalog.set_config/ { next } { print; fflush() }
        /^COPY .* FROM stdin;$/ { rows = 1; sort = "LC_ALL=C sort" }'
}
dump "$source_port" regression >"$work/source.sql"
on_target -d reference -f "$work/source.sql" >/dev/null 2>&1 || true
dump "$target_port" reference | settled >"$work/reference"
dump "$target_port" migrated | settled >"$work/migrated"
echo "what migrate-db brought, beside what pg_dump and psql bring ($(wc -l <"$work/reference") lines):"
diff "$work/reference" "$work/migrated" && echo "no difference"
