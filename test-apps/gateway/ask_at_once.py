# SPDX-License-Identifier: Apache-2.0
"""Asks a FastCGI program several things at once on one connection, again and again: ask_at_once.py PORT COUNT ROUNDS. The
answers come in any order; a wrong one ends it with an error."""

import socket
import struct
import sys

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT = range(1, 7)


def record(kind, number, content=b"", padding=0):
    return struct.pack(">BBHHBx", 1, kind, number, len(content), padding) + content + b"\0" * padding


def head(number, target):
    variables = {b"REQUEST_METHOD": b"POST", b"REQUEST_URI": target, b"CONTENT_LENGTH": b"6", b"SERVER_NAME": b"here"}
    pairs = b"".join(bytes((len(name), len(value))) + name + value for name, value in variables.items())
    return record(BEGIN_REQUEST, number, b"\0\1\1" + bytes(5)) + record(PARAMS, number, pairs, number % 8) + record(PARAMS, number)


def read_answers(reader, count):
    """The answers of so many requests, by id, and the order of their ends."""
    answers, order = {}, []
    while len(order) < count:
        kind, number, length, padding = struct.unpack(">xBHHBx", reader.read(8))
        content = reader.read(length + padding)[:length]
        if kind == STDOUT:
            answers[number] = answers.get(number, b"") + content
        elif kind == END_REQUEST:
            order.append(number)
    return answers, order


def main(port, count, rounds):
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as reader:
        for turn in range(rounds):
            numbers = range(1, count + 1)
            for number in numbers:  # the last one is to be answered first
                connection.sendall(head(number, b"/delay/%d" % (40 * (count - number))))
            for part in (b"abc", b"def"):
                connection.sendall(b"".join(record(STDIN, number, part, number % 3) for number in numbers))
            connection.sendall(b"".join(record(STDIN, number) for number in numbers))
            answers, order = read_answers(reader, count)
            assert sorted(order) == list(numbers) and (count < 3 or order != list(numbers)), order
            assert all(answer.endswith(b"\r\n\r\nlate\n") for answer in answers.values()), answers
            print("turn", turn, flush=True)


main(*map(int, sys.argv[1:]))
