#!/usr/bin/env bash
# Builds the images db-migration and s3-migration, and what is published of them. See `make images`.
#
#   build.sh [db-migration | s3-migration]...        both without an argument
#
# Leaves, for each: the image NAME:VERSION (and NAME:latest) in the Docker engine; target/images/NAME.tar, the same
# image as a file for `publish-images push`; target/images/NAME.cdx.json, its software bill of materials.
#
# Settings, all optional:
#   IMAGES_PROGRAMS   a directory with built programs; otherwise they are built here, in the release profile
#   IMAGES_BASE       the Debian image that libraries come from; otherwise the pinned public one, and where that cannot
#                     be pulled, one made here from Debian's packages (needs root and mmdebstrap)
#   IMAGES_DIRECTORY  where the files go; otherwise images/ in the target directory
#   IMAGES_TAG        the tag; otherwise the version, and `latest`
#   IMAGES_SOURCE     the address of the sources, for the label; otherwise that of the git remote, when it is public
#   RDS_CA_BUNDLE     a file with more certificate authorities for RDS than the repository's own; otherwise Amazon's are
#                     downloaded, where that is possible
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'images: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

rds_bundle_url=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
# Seconds for the public registry and for Amazon's bundle: each has another way.
fetch_seconds=${IMAGES_FETCH_SECONDS:-60}
# What the local bases are made of. PostgreSQL 18's client came into Debian with forky.
suite_of() { if [[ $1 = db-migration ]]; then echo forky postgresql-client-18; else echo trixie; fi; }
program_of() { if [[ $1 = db-migration ]]; then echo migrate-db; else echo migrate-s3; fi; }
exists() { docker image inspect "$1" >/dev/null 2>&1; }

# The machine's own Debian mirror: the first source of the distribution itself, in either format that apt reads.
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' |
        grep -E '/debian/?$' | head -n 1
}

# local_base NAME: prints the name of a base made from Debian's packages; made once for each text of this script.
local_base() {
    local suite packages image mirror
    read -r suite packages <<<"$(suite_of "$1")"
    image=migration-base/$suite:$(sha256sum images/scripts/build.sh | cut -c1-12)
    if ! exists "$image"; then
        command -v mmdebstrap >/dev/null || fail "no base image can be pulled, and mmdebstrap is missing: apt-get install mmdebstrap"
        [[ $(id -u) = 0 ]] || fail "no base image can be pulled, and making one needs root; run it as root once, or set IMAGES_BASE"
        mirror=$(mirror)
        [[ -n $mirror ]] || fail "no Debian mirror in /etc/apt/sources.list or sources.list.d; set IMAGES_BASE"
        say "making a base of Debian $suite"
        # Signatures are checked; a mirror that stands still has only outlived the date up to which it promised news.
        mmdebstrap --quiet --variant=essential --include="ca-certificates${packages:+,$packages}" \
            --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            --customize-hook='rm -rf "$1"/var/lib/apt/lists "$1"/var/cache/apt' \
            "$suite" "$work/base.tar" "$mirror" >&2 || fail "Debian $suite cannot be installed from this machine's mirror"
        docker import --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$work/base.tar" "$image" >/dev/null
        rm "$work/base.tar"
    fi
    echo "$image"
}

# base NAME: prints the image that libraries come from.
base() {
    local public
    public=$(sed -n 's/^ARG BASE=//p' "images/$1/Dockerfile")
    if [[ -n ${IMAGES_BASE:-} ]]; then
        echo "$IMAGES_BASE"
    elif exists "$public" || timeout "$fetch_seconds" docker pull --quiet "$public" >/dev/null 2>&1; then
        echo "$public"
    else
        say "${public%@*} cannot be pulled from here"
        local_base "$1"
    fi
}

# Amazon's authorities for RDS, into the directory $1: the kept ones of the estate's region, and those of every region from
# a file that is given, or from Amazon. certificates.py looks at each.
certificates() {
    local bundle=$1/rds-global-bundle.pem kept=images/db-migration/certificates/rds-eu-west-2.pem
    mkdir -p "$1"
    if [[ -n ${RDS_CA_BUNDLE:-} ]]; then
        python3 images/scripts/certificates.py "$bundle" "$kept" "$RDS_CA_BUNDLE"
    elif timeout "$fetch_seconds" curl --fail --silent --location --output "$work/bundle.pem" "$rds_bundle_url"; then
        python3 images/scripts/certificates.py "$bundle" "$kept" "$work/bundle.pem" whole
    else
        python3 images/scripts/certificates.py "$bundle" "$kept"
        say "$rds_bundle_url cannot be had: this db-migration trusts RDS servers of eu-west-2 only."
        say "for another region download it elsewhere and build again with RDS_CA_BUNDLE=FILE"
    fi
    chmod 644 "$bundle"
}

build() {
    local name=$1 program context=$work/$1 tag
    program=$(program_of "$name")
    [[ -x $programs/$program ]] || fail "there is no program $program in $programs"
    mkdir -p "$context"
    cp images/scripts/collect.sh images/scripts/install.sh "$programs/$program" "$context/"
    if [[ $name = db-migration ]]; then certificates "$context/certificates"; fi
    local base
    base=$(base "$name")
    tag=${IMAGES_TAG:-$version}
    say "building $name:$tag on ${base%@*}"
    docker build --quiet --file "images/$name/Dockerfile" --tag "$name:$tag" \
        --build-arg BASE="$base" --build-arg SOURCE="$source" --build-arg REVISION="$revision" \
        --build-arg VERSION="$version" --build-arg CREATED="$created" "$context" >"$work/log" 2>&1 ||
        {
            cat "$work/log" >&2
            fail "$name cannot be built"
        }
    if [[ -z ${IMAGES_TAG:-} ]]; then docker tag "$name:$tag" "$name:latest"; fi
    mkdir -p "$directory"
    docker save --output "$directory/$name.tar" "$name:$tag"
    local container
    container=$(docker create "$name:$tag")
    docker cp "$container:/var/lib/dpkg/status" "$work/status" >/dev/null
    docker rm "$container" >/dev/null
    python3 images/scripts/sbom.py "$program" "$work/status" "$created" >"$directory/$name.cdx.json"
    say "$name:$tag has $(docker image inspect --format '{{.Size}}' "$name:$tag") bytes, $(stat -c %s "$programs/$program") of them the program's"
}

main() {
    docker version >/dev/null 2>&1 || fail "no Docker engine answers; start one ('dockerd' or 'systemctl start docker')"
    command -v cargo >/dev/null || fail "cargo is missing; install Rust from https://rustup.rs"
    command -v python3 >/dev/null || fail "python3 is missing; it writes the bills of materials: apt-get install python3"
    local target
    target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    directory=${IMAGES_DIRECTORY:-$target/images}
    programs=${IMAGES_PROGRAMS:-}
    if [[ -z $programs ]]; then
        say "building the programs (some minutes the first time)"
        # The same packages for every use of the release profile: another selection would compile dependencies again.
        cargo build --quiet --release --locked --workspace --bins
        programs=$target/release
    fi
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
    # The commit's time, not the clock's: the same sources give the same image.
    created=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1970-01-01T00:00:00Z)
    source=${IMAGES_SOURCE:-$(git remote get-url origin 2>/dev/null | grep -E '^https://[^@]*$' || echo unknown)}
    work=$(mktemp -d "${TMPDIR:-/tmp}/migration-images.XXXXXX")
    trap 'rm -rf -- "$work"' EXIT
    local names=("$@")
    ((${#names[@]})) || names=(db-migration s3-migration)
    for name in "${names[@]}"; do
        [[ -f images/$name/Dockerfile ]] || fail "there is no image $name; there are db-migration and s3-migration"
        build "$name"
    done
}

main "$@"
