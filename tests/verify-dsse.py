#!/usr/bin/env python3
"""Checks the signatures of an artifact with nothing of this project: FORMAT.md, the
standard library, and `cryptography` for Ed25519.

    verify-dsse.py ARTIFACT KEY.pub...

At least one key must be named, every key that is must have signed, and every image that is
stored raw must be the one that the statement names. Prints the artifact's identity, and each
key that signed. Does not ask whether the keys are to be trusted, nor run anything. Exit
codes: 0 all of it holds, 1 something does not, 2 usage.
"""

import base64
import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hold(condition, what):
    """Ends with a failure unless it holds; an `assert` would not under `python3 -O`."""
    if not condition:
        sys.exit(f"verify-dsse.py: {what}")


def frame(data):
    """The envelope and the parts of a file."""
    hold(len(data) >= 64, "the file ends within the header")
    magic, version, count, total, length, digest = struct.unpack_from("<8sIIQQ32s", data)
    hold(magic == b"\x89BLS\r\n\x1a\n" and version == 1, "not an artifact of format 1")
    hold(total == len(data), "not as long as its header says")
    at = 64 + 40 * count
    envelope = data[at : at + length]
    hold(hashlib.sha256(envelope).digest() == digest, "another envelope than its header says")
    parts, at = [], at + length
    for index in range(count):
        digest, length = struct.unpack_from("<32sQ", data, 64 + 40 * index)
        at = -(-at // 16) * 16
        parts.append(data[at : at + length])
        hold(hashlib.sha256(parts[-1]).digest() == digest, f"part {index} is damaged")
        at += length
    return json.loads(envelope), parts


def main(artifact, *keys):
    envelope, parts = frame(open(artifact, "rb").read())
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signatures = {one["keyid"]: base64.b64decode(one["sig"]) for one in envelope["signatures"]}
    print("identity", sha256(payload))
    for path in keys:
        key = serialization.load_pem_public_key(open(path, "rb").read())
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        keyid = sha256(key.public_bytes(serialization.Encoding.DER, form))
        hold(keyid in signatures, f"{path}: this key did not sign it")
        try:
            key.verify(signatures[keyid], message)
        except InvalidSignature:
            hold(False, f"{path}: its signature is not good")
        print("signed by", keyid)
    statement = json.loads(payload)
    hold(statement["_type"] == "https://in-toto.io/Statement/v1", "another type of statement")
    stored = {sha256(part): part for part in parts}
    for subject, part in zip(statement["subject"], statement["predicate"]["parts"], strict=True):
        same = subject["digest"]["sha256"] == part["image"]["sha256"]
        hold(same, "a subject that is not its part")
        encoding, bytes_stored = part["stored"]["encoding"], stored.get(part["stored"]["sha256"])
        if bytes_stored is None or encoding not in ("raw", "sparse"):
            continue
        image = unpack(bytes_stored) if encoding == "sparse" else bytes_stored
        if sha256(image) == part["image"]["sha256"]:
            print("subject", subject["name"], subject["digest"]["sha256"])


def unpack(part):
    """The image of a sparse part (FORMAT.md, "Parts")."""
    image, at = bytearray(), 0
    while at < len(part):
        zeros, count = struct.unpack_from("<HH", part, at)
        image += bytes(zeros) + part[at + 4 : at + 4 + count]
        at += 4 + count
    return bytes(image)


if len(sys.argv) < 3:
    print("usage: verify-dsse.py ARTIFACT KEY.pub...", file=sys.stderr)
    print("without a key nothing would be verified", file=sys.stderr)
    sys.exit(2)
main(*sys.argv[1:])
