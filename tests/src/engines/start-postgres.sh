#!/bin/sh
# Starts one PostgreSQL server for tests, in any image with PostgreSQL's programs in /usr/lib/postgresql/MAJOR/bin.
# The harness puts this file, server.crt and server.key into /harness and gives the password in PASSWORD.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
cluster=/harness/cluster

as_postgres() {
    setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"
}

mkdir -p "$cluster" /var/run/postgresql
printf '%s' "$PASSWORD" > /harness/password
chown -R postgres:postgres /harness /var/run/postgresql /small
chmod 600 /harness/server.key /harness/password

as_postgres "$bin/initdb" --pgdata="$cluster" --username=postgres --pwfile=/harness/password \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync > /dev/null
printf 'host all all all scram-sha-256\nhost replication all all scram-sha-256\n' >> "$cluster/pg_hba.conf"

# Nothing here outlives the container, so nothing is written for the sake of surviving a crash.
exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$bin/postgres" -D "$cluster" \
    -c listen_addresses='*' -c max_connections=100 -c password_encryption=scram-sha-256 \
    -c ssl=on -c ssl_cert_file=/harness/server.crt -c ssl_key_file=/harness/server.key \
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c wal_level=logical -c max_wal_size=4GB \
    -c shared_buffers=128MB -c jit=off -c timezone=UTC -c log_timezone=UTC
