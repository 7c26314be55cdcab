#!/usr/bin/env python3
"""Makes calls of gRPC that the tests have encoded: tests/src/cri.rs.

Usage: cri.py SOCKET

Reads calls from standard input, and answers each on standard output: a line with the path of the
method and the length of the message, and the message; a line with the status (0 is good) and a
length, and the answer, or the words of the error. Needs Debian's python3-grpcio. Knows no message.
"""

import sys

import grpc


def main() -> None:
    options = [("grpc.max_receive_message_length", 64 << 20)]
    channel = grpc.insecure_channel(f"unix:{sys.argv[1]}", options)
    calls, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := calls.readline():
        path, length = line.decode().split()
        request = calls.read(int(length))
        try:
            status, answer = 0, channel.unary_unary(path)(request)
        except grpc.RpcError as error:
            status, answer = error.code().value[0], (error.details() or "").encode()
        answers.write(f"{status} {len(answer)}\n".encode() + answer)
        answers.flush()


main()
