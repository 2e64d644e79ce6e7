#!/usr/bin/env bash
# The day of the cutover on this machine: builds the images, then runs the runbooks of the database and the buckets with them
# on a local estate that is written to until the freeze. See `make help`.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'make rehearse: %s\n' "$*" >&2; }

command -v cargo >/dev/null || { say "cargo is missing; install Rust from https://rustup.rs"; exit 2; }
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v docker >/dev/null || missing+=(docker.io)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v python3 >/dev/null || missing+=(python3)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
if ((${#missing[@]})); then
    if [[ $(id -u) -ne 0 ]]; then
        say "these packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
        exit 2
    fi
    # postgresql-common would start a cluster of its own; nothing here needs one.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! docker version >/dev/null 2>&1; then
    [[ $(id -u) -eq 0 ]] || { say "no Docker engine answers; start it as root (systemctl start docker, or dockerd)"; exit 2; }
    setsid dockerd </dev/null >"${TMPDIR:-/tmp}/migration-rehearse-dockerd.log" 2>&1 &
    for ((second = 0; second < 30; second++)); do docker version >/dev/null 2>&1 && break; sleep 1; done
fi

images/scripts/build.sh
target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# Built by build.sh with everything else, unless the programs came from elsewhere.
[[ -x $target/release/cutover ]] || cargo build --quiet --release --locked --workspace --bins

temporary=$(mktemp -d "${TMPDIR:-/tmp}/migration-rehearse.XXXXXX")
chmod 711 "$temporary"
trap 'rm -rf -- "$temporary"' EXIT
TMPDIR=$temporary "$target/release/cutover" --tag "${IMAGES_TAG:-latest}" </dev/null &
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
