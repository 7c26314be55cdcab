#!/usr/bin/env python3
"""Checks the signatures of an artifact with nothing of this project: FORMAT.md, the
standard library, and `cryptography` for Ed25519.

    verify-dsse.py ARTIFACT KEY.pub...

Every key must have signed, and every image that is stored raw must be the one that the
statement names. Prints the artifact's identity, and each key that signed. Does not ask
whether the keys are to be trusted, nor run anything.
"""

import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives import serialization


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def frame(data):
    """The envelope and the parts of a file."""
    magic, version, count, total, length, digest = struct.unpack_from("<8sIIQQ32s", data)
    assert magic == b"\x89BLS\r\n\x1a\n" and version == 1 and total == len(data)
    at = 64 + 40 * count
    envelope = data[at : at + length]
    assert hashlib.sha256(envelope).digest() == digest
    parts, at = [], at + length
    for index in range(count):
        digest, length = struct.unpack_from("<32sQ", data, 64 + 40 * index)
        at = -(-at // 16) * 16
        parts.append(data[at : at + length])
        assert hashlib.sha256(parts[-1]).digest() == digest
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
        key.verify(signatures[keyid], message)  # raises where it is not good
        print("signed by", keyid)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    stored = {sha256(part) for part in parts}
    for subject, part in zip(statement["subject"], statement["predicate"]["parts"], strict=True):
        assert subject["digest"]["sha256"] == part["image"]["sha256"]
        if part["stored"]["encoding"] == "raw" and part["stored"]["sha256"] in stored:
            print("subject", subject["name"], subject["digest"]["sha256"])


main(*sys.argv[1:])
