#!/bin/sh
# Writes runbooks/reference/settings.md, from the programs' own --help, to stdout.
#
#   settings-reference.sh DIRECTORY      DIRECTORY holds migrate-db, migrate-s3 and publish-images
#
# `make reference` puts it in its place; a test of the suite holds it to the programs.
set -eu

directory=${1:?"usage: settings-reference.sh DIRECTORY"}

# help PROGRAM [COMMAND]: as for a wide page, without the variables' present values. Nothing of this machine is in it.
help() {
    program=$1
    shift
    env -i PATH=/usr/bin:/bin COLUMNS=120 "$directory/$program" "$@" --help | sed 's/ *$//'
}

section() {
    printf '\n## %s\n\n```\n' "$1"
    # shellcheck disable=SC2086 # a program, and maybe a command
    help $1
    printf '```\n'
}

cat <<'TEXT'
# Variables and flags

Made from the programs' own `--help` by `make reference`; do not edit. Every flag has the variable that is named with it in brackets;
only the `--confirm` of `publish-images remove` has none: it is typed.

Secrets have variables only, never flags. Each may be given as `NAME`, or as the path of a file in `NAME_FILE`:

| program | secret |
|---|---|
| migrate-db | `DATABASE_URL`, `SOURCE_DATABASE_URL`; `VCAP_SERVICES`; libpq's `PGPASSWORD` |
| migrate-s3 | `PAAS_ACCESS_KEY_ID`, `PAAS_SECRET_ACCESS_KEY`; `VCAP_SERVICES` |
| publish-images | `MIRROR_PASSWORD` (with the user in `MIRROR_USERNAME`) |

Further variables that are no settings of ours: `AWS_*` for the credentials of the task or the person (also `AWS_CA_BUNDLE`), `PG*` for the source as
`cf conduit` sets it, `RUST_LOG`.
TEXT
section migrate-db
section migrate-s3
section publish-images
for command in status push pull-check remove mirror; do section "publish-images $command"; done
