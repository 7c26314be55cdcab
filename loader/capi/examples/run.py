#!/usr/bin/env python3
"""Calls an artifact from Python, through ctypes: a guest that stands, and a function of ours.

    python3 run.py libbls.so builder.pub guest.bls

The guest exports "ask", which takes a number, and imports "env" "twice".
"""
import ctypes as c
import sys


class Of(c.Union):
    _fields_ = [("i32", c.c_int32), ("i64", c.c_int64), ("f32", c.c_float),
                ("f64", c.c_double), ("v128", c.c_uint8 * 16)]


class Value(c.Structure):
    _fields_ = [("kind", c.c_uint8), ("of", Of)]


I32 = 0
bls = c.CDLL(sys.argv[1])
for word in ("stage", "code", "message", "hint"):
    getattr(bls, f"bls_error_{word}").restype = c.c_char_p
    getattr(bls, f"bls_error_{word}").argtypes = [c.c_void_p]
bls.bls_error_free.argtypes = [c.c_void_p]


def call(name, *arguments):
    """Calls a function that can fail; raises what it says."""
    function = getattr(bls, "bls_" + name)
    function.restype = c.c_void_p
    error = function(*arguments)
    if error:
        message = bls.bls_error_message(error).decode()
        code = bls.bls_error_code(error).decode()
        bls.bls_error_free(error)
        raise RuntimeError(f"{message} ({code})")


def make(name, *arguments):
    """Calls one that makes a handle, and gives that. (Each has a bls_..._free.)"""
    made = c.c_void_p()
    call(name, *arguments, c.byref(made))
    return made


@c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_void_p, c.POINTER(Value), c.POINTER(Value))
def twice(data, guest_call, arguments, results):
    results[0].of.i32 = 2 * arguments[0].of.i32
    return None


trust = make("trust_file", sys.argv[2].encode())
loader = make("loader_new", trust)
verified = make("loader_open", loader, sys.argv[3].encode())
runner = make("runner_new", verified)
price = c.c_uint64(500)
call("runner_function", runner, b"env", b"twice", b"i:i", price, twice, None, None)
call("runner_fuel", runner, c.c_uint64(1_000_000))
instance = make("runner_instantiate", runner)
for number in (1, 21):
    argument, result = Value(I32, Of(i32=number)), Value()
    call("instance_call", instance, b"ask", c.byref(argument), c.c_size_t(1),
         c.byref(result), c.c_size_t(1))
    print(result.of.i32)
for kind, handle in (("instance", instance), ("runner", runner), ("verified", verified),
                     ("loader", loader), ("trust", trust)):
    getattr(bls, f"bls_{kind}_free")(handle)
