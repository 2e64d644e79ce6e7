#!/usr/bin/env bash
# The main job on this machine: an estate is generated, moved by migrate-db and migrate-s3, and proved. See `make help`.
# Needs Rust and make; installs the rest through apt when it runs as root, otherwise says what to install.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*"; }

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
compgen -G '/usr/lib/postgresql/*/bin/pg_dump' >/dev/null || missing+=(postgresql-client)
if ((${#missing[@]})); then
    if [[ $(id -u) -ne 0 ]]; then
        say "make demo: these packages are missing: ${missing[*]}" >&2
        say "make demo: run this as root, then make demo again: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 2
    fi
    say "Installing ${missing[*]}."
    # postgresql-common would start a cluster of its own; nothing here needs one.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        say 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! command -v cargo >/dev/null; then
    say "make demo: cargo is missing; install Rust from https://rustup.rs, then run make demo again" >&2
    exit 2
fi

say "Building (some minutes the first time)."
# The whole workspace, as `make test` does: another selection would unite other features and compile everything again.
cargo build --quiet --release --locked --workspace --bins
built=${CARGO_TARGET_DIR:-target}

# Everything temporary goes below one directory, which is removed however the rehearsal ends. Others may pass through
# it: PostgreSQL's server runs as another user when we are root.
temporary=$(mktemp -d "${TMPDIR:-/tmp}/migration-demo.XXXXXX")
chmod 711 "$temporary"
trap 'rm -rf -- "$temporary"' EXIT

# In the background, so that signals to this shell are passed on at once; the rehearsal ends in order on them.
TMPDIR=$temporary "$built/release/rehearsal" --reports "$built/demo" </dev/null &
rehearsal=$!
trap 'kill -TERM "$rehearsal" 2>/dev/null' TERM HUP
# Ctrl-C reaches the rehearsal by itself, as it shares our terminal.
trap ':' INT
status=0
wait "$rehearsal" || status=$?
while kill -0 "$rehearsal" 2>/dev/null; do
    status=0
    wait "$rehearsal" || status=$?
done
exit "$status"
