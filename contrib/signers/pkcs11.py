#!/usr/bin/env python3
"""Signs with an Ed25519 key that an HSM keeps, through its PKCS#11 library:

    bls-compile app.wasm --key exec:contrib/signers/pkcs11.py --public-key builder.pub

What is to be signed comes on standard input, the 64 bytes of the signature go out. Needs nothing
but Python. To try it with Debian's SoftHSM and OpenSC (softhsm2, opensc):

    export PKCS11_MODULE=/usr/lib/softhsm/libsofthsm2.so
    softhsm2-util --init-token --free --label bls --so-pin 1234 --pin 1234
    pkcs11-tool --module "$PKCS11_MODULE" --token-label bls --login --pin 1234 \\
        --keypairgen --key-type EC:edwards25519 --label builder --id 01
    pkcs11-tool --module "$PKCS11_MODULE" --token-label bls \\
        --read-object --type pubkey --id 01 -o builder.pub

(pkcs11-tool itself signs at most 1 KiB by EdDSA in one piece, and in more pieces no HSM does.)

    PKCS11_MODULE  the library
    PKCS11_TOKEN   the token's label [default: bls]
    PKCS11_KEY     the key's id there, in hexadecimal digits [default: 01]
    PKCS11_PIN     its PIN; without it, it is asked for at a terminal
"""

import ctypes
import getpass
import os
import sys

ULONG, POINTER = ctypes.c_ulong, ctypes.c_void_p
# Places in the list of functions, and numbers, of PKCS#11 2.40 and 3.0.
INITIALIZE, FUNCTIONS, SLOTS, TOKEN, OPEN, LOGIN = 0, 3, 4, 6, 12, 18
FIND_INIT, FIND, FIND_FINAL, SIGN_INIT, SIGN = 26, 27, 28, 42, 43
SERIAL_SESSION, USER, CLASS, ID, PRIVATE_KEY, EDDSA = 4, 1, 0, 0x102, 3, 0x1057


class FunctionList(ctypes.Structure):
    _fields_ = [("version", ctypes.c_ubyte * 2), ("functions", POINTER * 68)]


class Attribute(ctypes.Structure):
    _fields_ = [("kind", ULONG), ("value", POINTER), ("length", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("kind", ULONG), ("parameter", POINTER), ("length", ULONG)]


def main():
    message = sys.stdin.buffer.read()
    library = ctypes.CDLL(os.environ.get("PKCS11_MODULE") or sys.exit("PKCS11_MODULE is not set"))
    functions = ctypes.POINTER(FunctionList)()

    def check(what, code):
        if code != 0:
            sys.exit(f"{what}: PKCS#11 error {code:#x}")

    check("C_GetFunctionList", library.C_GetFunctionList(ctypes.byref(functions)))

    def call(what, place, *arguments):
        kinds = [ULONG if isinstance(one, int) else POINTER for one in arguments]
        function = ctypes.CFUNCTYPE(ULONG, *kinds)(functions.contents.functions[place])
        given = [one if isinstance(one, int) or one is None else ctypes.cast(one, POINTER)
                 for one in arguments]
        check(what, function(*given))

    call("C_Initialize", INITIALIZE, None)
    count = ULONG(64)
    slots = (ULONG * 64)()
    # A boolean is a byte; the register that it is passed in holds no more.
    call("C_GetSlotList", SLOTS, 1, slots, ctypes.pointer(count))
    label = os.environ.get("PKCS11_TOKEN", "bls")
    for slot in slots[: count.value]:
        info = ctypes.create_string_buffer(1024)
        call("C_GetTokenInfo", TOKEN, slot, info)
        if info.raw[:32].decode(errors="replace").rstrip() == label:
            break
    else:
        sys.exit(f"no token is called {label!r}")
    session = ULONG()
    call("C_OpenSession", OPEN, slot, SERIAL_SESSION, None, None, ctypes.pointer(session))
    session = session.value
    pin = (os.environ.get("PKCS11_PIN") or getpass.getpass("PIN: ")).encode()
    call("C_Login", LOGIN, session, USER, ctypes.create_string_buffer(pin), len(pin))

    name = bytes.fromhex(os.environ.get("PKCS11_KEY", "01"))
    kind, name_buffer = ULONG(PRIVATE_KEY), ctypes.create_string_buffer(name, len(name))
    wanted = (Attribute * 2)(
        Attribute(CLASS, ctypes.cast(ctypes.pointer(kind), POINTER), ctypes.sizeof(kind)),
        Attribute(ID, ctypes.cast(name_buffer, POINTER), len(name)),
    )
    call("C_FindObjectsInit", FIND_INIT, session, wanted, 2)
    key, found = ULONG(), ULONG()
    call("C_FindObjects", FIND, session, ctypes.pointer(key), 1, ctypes.pointer(found))
    call("C_FindObjectsFinal", FIND_FINAL, session)
    if found.value != 1:
        sys.exit(f"the token has no private key {name.hex()}")
    mechanism = Mechanism(EDDSA, None, 0)
    call("C_SignInit", SIGN_INIT, session, ctypes.pointer(mechanism), key.value)
    signature, length = ctypes.create_string_buffer(64), ULONG(64)
    buffer = ctypes.create_string_buffer(message, len(message))
    call("C_Sign", SIGN, session, buffer, len(message), signature, ctypes.pointer(length))
    sys.stdout.buffer.write(signature.raw[: length.value])


main()
