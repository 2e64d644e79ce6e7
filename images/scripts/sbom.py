"""Writes the software bill of materials of an image as CycloneDX 1.5 JSON to stdout.

    python3 sbom.py PROGRAM DPKG_STATUS CREATED

It lists the crates that are linked into PROGRAM (a package of this workspace), with the checksums of Cargo.lock, and the
Debian packages that the image holds files of. Called by build.sh.
"""

import json
import re
import subprocess
import sys
import uuid


def crates(program):
    """The crates in the program: what it needs at run time, and what they need, on this platform."""
    host = subprocess.check_output(["cargo", "-vV"], text=True)
    host = next(line[6:] for line in host.splitlines() if line.startswith("host: "))
    arguments = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", host]
    metadata = json.loads(subprocess.check_output(arguments))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [identity for identity, package in packages.items() if package["name"] == program and not package["source"]]
    found = set()
    while waiting:
        identity = waiting.pop()
        if identity in found:
            continue
        found.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return sorted((packages[identity] for identity in found), key=lambda package: (package["name"], package["version"]))


def checksums():
    """Name and version of each crate in Cargo.lock, to its SHA-256."""
    with open("Cargo.lock", encoding="utf-8") as file:
        text = file.read()
    pattern = r'name = "(.*)"\nversion = "(.*)"\nsource = .*\nchecksum = "(.*)"'
    return {(name, version): checksum for name, version, checksum in re.findall(pattern, text)}


def debian_packages(path):
    """The stanzas of a dpkg status file."""
    with open(path, encoding="utf-8") as file:
        for stanza in file.read().strip().split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
            if fields:
                yield fields


def components(program, status):
    known = checksums()
    for crate in crates(program):
        name, version = crate["name"], crate["version"]
        component = {"type": "library", "name": name, "version": version}
        component["bom-ref"] = component["purl"] = f"pkg:cargo/{name}@{version}"
        if crate["license"]:
            component["licenses"] = [{"expression": crate["license"].replace("/", " OR ")}]
        if (name, version) in known:
            component["hashes"] = [{"alg": "SHA-256", "content": known[name, version]}]
        yield component
    for package in debian_packages(status):
        name, version, architecture = package["Package"], package["Version"], package["Architecture"]
        component = {"type": "library", "name": name, "version": version}
        component["bom-ref"] = component["purl"] = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        yield component


def main():
    program, status, created = sys.argv[1:]
    parts = list(components(program, status))
    version = next(part["version"] for part in parts if part["name"] == program)
    content = json.dumps(parts, sort_keys=True)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {"type": "container", "name": program, "version": version, "bom-ref": program},
        },
        "components": parts,
    }
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    print()


main()
