#!/usr/bin/env bash
# Everything that proves the project, on a machine that has only Rust and make. See `make help`.
#
# Installs through apt what is missing when it runs as root, and otherwise says what to install. Starts a Docker engine where
# none answers. Nothing passes by being skipped; no stage stops the ones behind it. The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.."

started=$SECONDS
passed=0
failed=0
log=$(mktemp "${TMPDIR:-/tmp}/migration-test.XXXXXX")
images_log=$(mktemp "${TMPDIR:-/tmp}/migration-test-images.XXXXXX")
trap 'rm -f "$log" "$images_log"' EXIT

say() { printf '%s\n' "$*"; }

finish() {
    say "All of it took $((SECONDS - started)) s."
    say "$passed passed, $failed failed"
    ((failed == 0))
    exit
}

# give_up MESSAGE...: without this nothing can be tested, which is a failure and not a skip.
give_up() {
    say "make test: $*" >&2
    failed=$((failed + 1))
    finish
}

# check NAME COMMAND...: one thing that passes or fails as a whole.
check() {
    local name=$1 begun=$SECONDS
    shift
    say "== $name"
    if "$@"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        say "FAILED: $name"
    fi
    say "== $name took $((SECONDS - begun)) s"
}

# No suite takes longer, building included, on two cold cores; one that does has hung.
suite_seconds_max=2700

# suite NAME ARGUMENT...: a run of cargo test; counts what libtest counts, and a run that did not come to an end as one failure.
suite() {
    local name=$1 begun=$SECONDS status=0 run_passed run_failed
    shift
    say "== $name"
    timeout --verbose "$suite_seconds_max" cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
    run_passed=$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$log" | awk '{ sum += $1 } END { print sum + 0 }')
    run_failed=$(sed -n 's/^test result: .* \([0-9]*\) failed; .*/\1/p' "$log" | awk '{ sum += $1 } END { print sum + 0 }')
    if ((status != 0 && run_failed == 0)); then run_failed=1; fi
    passed=$((passed + run_passed))
    failed=$((failed + run_failed))
    say "== $name: $run_passed passed, $run_failed failed, took $((SECONDS - begun)) s"
}

install_missing() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v docker >/dev/null || missing+=(docker.io)
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v pip3 >/dev/null || command -v pip >/dev/null || missing+=(python3-pip)
    command -v git >/dev/null || missing+=(git)
    [[ -x /usr/sbin/pgbouncer ]] || missing+=(pgbouncer)
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
    ((${#missing[@]})) || return 0
    if [[ $(id -u) -ne 0 ]]; then
        give_up "these packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Installing ${missing[*]}."
    # postgresql-common would start a cluster of its own; nothing here needs one.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        say 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
        give_up "apt-get could not install ${missing[*]}: $(tail -n 3 "$log")"
}

engine_answers() { docker version >/dev/null 2>&1; }

# Tries the ways of starting an engine that work on a server, in a virtual machine and in a privileged container.
start_engine() {
    engine_answers && return
    if [[ $(id -u) -ne 0 ]]; then
        give_up "no Docker engine answers; start it as root (systemctl start docker, or dockerd), and put $(id -un) into the group docker"
    fi
    say "Starting a Docker engine; it stays up when the tests are done."
    if [[ -d /run/systemd/system ]]; then
        systemctl start docker && engine_answers && return
    fi
    local options second
    for options in "" "--storage-driver=vfs"; do
        # In a session of its own and without our output, so that nobody waits for it.
        # shellcheck disable=SC2086 # options are words
        setsid dockerd $options </dev/null >"${TMPDIR:-/tmp}/migration-test-dockerd.log" 2>&1 &
        local engine=$!
        for ((second = 0; second < 30; second++)); do
            engine_answers && return
            kill -0 "$engine" 2>/dev/null || break
            sleep 1
        done
        kill "$engine" 2>/dev/null
        wait "$engine" 2>/dev/null
    done
    give_up "dockerd does not start: $(tail -n 3 "${TMPDIR:-/tmp}/migration-test-dockerd.log")"
}

# All at once.
images() {
    local builder builders=() status=0 engine
    for engine in postgres-13 postgres-15 postgres-17 postgres-18 s3; do
        image_of "$engine" &
        builders+=($!)
    done
    for builder in "${builders[@]}"; do wait "$builder" || status=1; done
    return "$status"
}

# images_built JOB: waits for the job that builds the images, and shows what it said.
images_built() {
    local status=0
    wait "$1" || status=$?
    cat "$images_log"
    return "$status"
}

image_of() {
    local image
    image=$(tests/images/build.sh "$1") && say "$1 runs $image"
}

# cargo-deny needs the RustSec advisory database. Its licence half is also a test of the suite, without a network.
deny() {
    local database=https://github.com/rustsec/advisory-db
    if ! timeout 20 git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
        say "== cargo-deny was not run: its advisory database ($database) cannot be reached from here"
        return
    fi
    if ! cargo deny --version >/dev/null 2>&1; then
        cargo install --quiet --locked cargo-deny || { check "cargo deny" false; return; }
    fi
    check "cargo deny" cargo deny --locked --log-level error check
}

# Terraform is in no package repository of Debian's. What can be held without it is in tests/it/images/infrastructure.rs.
terraform_format() {
    if ! command -v terraform >/dev/null; then
        say "== terraform fmt was not run: terraform is not installed"
        return
    fi
    check "terraform fmt" terraform fmt -check -diff -recursive images/terraform
}

# A function, so that the whole script is read before any of it runs.
main() {
    local target
    command -v cargo >/dev/null || give_up "cargo is missing; install Rust from https://rustup.rs"
    # The profile of rustup may lack these two; where it cannot be had, their checks fail and say so.
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    install_missing
    start_engine

    # Beside the builds, which they do not disturb: they wait for networks more than for the processor.
    local building
    images >"$images_log" 2>&1 &
    building=$!
    check "cargo fmt" cargo fmt --all --check
    check "cargo clippy" cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
    deny
    terraform_format
    # One selection of packages for all that follows: cargo unites the features of what is selected, and another selection
    # would compile every dependency again.
    check "build" cargo build --quiet --locked --workspace --bins --tests
    target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    export TEST_PROGRAM_DIR=$target/debug
    suite "unit tests" --workspace --lib --bins
    suite "examples in the documentation" --workspace --doc
    check "images of the engines" images_built "$building"
    suite "integration suite" --workspace --test it
    finish
}

main
