"""Writes the certificate authorities that db-migration trusts for RDS, as one PEM file.

    python3 certificates.py OUTPUT KEPT [BUNDLE [whole]]

KEPT is the repository's own file, BUNDLE one that was downloaded from Amazon or given by whoever builds. Each
certificate is looked at: what is no authority, or holds a private key, is refused; what has expired is left out. With
`whole` the bundle is Amazon's for all regions, so it must hold everything that is kept: a kept certificate that Amazon
does not know is refused. Called by build.sh.
"""

import re
import ssl
import sys
import time


def fail(text):
    sys.exit(f"images: {text}")


def authorities(path):
    """The certificates of a file: (DER, common name, when it ends in seconds of Unix time)."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as error:
        fail(f"the certificates in {path} cannot be read: {error.strerror}")
    if "PRIVATE KEY" in text:
        fail(f"{path} holds a private key; give certificates only")
    blocks = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    if not blocks:
        fail(f"{path} holds no certificate")
    for number, block in enumerate(blocks, 1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            der = ssl.PEM_cert_to_DER_cert(block)
            context.load_verify_locations(cadata=der)
        except (ValueError, ssl.SSLError) as error:
            fail(f"certificate {number} of {path} cannot be understood: {error}")
        found = context.get_ca_certs()
        if len(found) != 1:
            fail(f"certificate {number} of {path} is no certificate authority")
        names = [value for part in found[0]["subject"] for key, value in part if key == "commonName"]
        yield der, " ".join(names) or f"certificate {number}", ssl.cert_time_to_seconds(found[0]["notAfter"])


def main():
    output, kept_path, *rest = sys.argv[1:]
    kept = list(authorities(kept_path))
    bundle = list(authorities(rest[0])) if rest else []
    if rest[1:] == ["whole"]:
        known = {der for der, _, _ in bundle}
        for der, name, _ in kept:
            if der not in known:
                fail(f"{kept_path} keeps `{name}`, which Amazon's bundle does not hold: find out why before you build")
    now = time.time()
    valid = {der: name for der, name, end in kept + bundle if end > now}
    with open(output, "w", encoding="ascii") as file:
        file.writelines(ssl.DER_cert_to_PEM_cert(der) for der in valid)
    expired = len({der for der, _, _ in kept + bundle}) - len(valid)
    said = f", {expired} more have expired" if expired else ""
    print(f"images: {len(valid)} authorities for RDS{said}", file=sys.stderr)


main()
