# SPDX-License-Identifier: Apache-2.0
"""A program behind a web server, in plain Python: server.py fastcgi|multiplexed|scgi|uwsgi [RECORD]. It prints its port. What came on
the connections goes to the file RECORD as it came, if that is given. A thread for each connection."""

import socket
import struct
import sys
import threading

from answer import answer

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)


class Reader:
    """The bytes of a connection; all are recorded."""

    def __init__(self, connection, record):
        self.connection, self.record = connection, record

    def exactly(self, count):
        """So many bytes; fewer at the end."""
        pieces = b""
        while len(pieces) < count:
            piece = self.connection.recv(count - len(pieces))
            if not piece:
                break
            self.record.write(piece)
            pieces += piece
        return pieces

    def until(self, end):
        """Up to this byte, which is taken, too."""
        text = b""
        while not text.endswith(end):
            byte = self.exactly(1)
            if not byte:
                return b""
            text += byte
        return text[:-1]


def head_of(status, fields):
    """The head of an answer, as CGI has it; 200 needs no status."""
    lines = ["Content-Type: text/plain", *(f"{name}: {value}" for name, value in fields)]
    if status != 200 and not (status == 302 and fields):
        lines.insert(0, f"Status: {status} As asked")
    return "\r\n".join([*lines, "", ""]).encode()


def fastcgi_pairs(block):
    """Names and values with their lengths in front."""
    pairs, at = {}, 0
    while at < len(block):
        lengths = []
        for _ in range(2):
            if block[at] & 0x80:
                lengths.append(struct.unpack_from(">I", block, at)[0] & 0x7FFFFFFF)
                at += 4
            else:
                lengths.append(block[at])
                at += 1
        name, value = block[at:at + lengths[0]], block[at + lengths[0]:at + sum(lengths)]
        pairs[name.decode()] = value.decode()
        at += sum(lengths)
    return pairs


def fastcgi_record(kind, number, content=b"", padding=0):
    return struct.pack(">BBHHBx", 1, kind, number, len(content), padding) + content + b"\0" * padding


def fastcgi_answer(number, variables, body):
    """All records of an answer."""
    status, fields, content = answer(variables, body)
    records = [fastcgi_record(STDERR, number, b"a line\n", 1)]
    text = head_of(status, fields) + (b"" if variables["REQUEST_METHOD"] == "HEAD" else content)
    for at in range(0, len(text), 7000):
        records.append(fastcgi_record(STDOUT, number, text[at:at + 7000], at % 5))
    records.append(fastcgi_record(STDOUT, number))
    records.append(fastcgi_record(END_REQUEST, number, struct.pack(">IB3x", 0, 0)))
    return b"".join(records)


def serve_multiplexed(reader):
    """FastCGI's several requests at once: a thread for each."""
    requests, lock, threads, waiting = {}, threading.Lock(), [], []

    def work(number, streams):
        records = fastcgi_answer(number, fastcgi_pairs(streams[PARAMS]), streams[STDIN])
        with lock:
            reader.connection.sendall(records)

    while len(header := reader.exactly(8)) == 8:
        kind, number, length, padding = struct.unpack(">xBHHBx", header)
        content = reader.exactly(length + padding)[:length]
        if kind == BEGIN_REQUEST:
            requests[number] = {PARAMS: b"", STDIN: b""}
        elif kind == STDIN and length == 0:
            waiting.append(threading.Thread(target=work, args=(number, requests.pop(number))))
            if not requests:  # all have come: which is answered first is not a matter of which came first
                threads += waiting
                while waiting:
                    waiting.pop().start()
        else:
            requests[number][kind] += content
    for thread in threads:
        thread.join()


def serve_fastcgi(reader):
    """Requests one after the other, as long as they want the connection kept."""
    keeps = True
    while keeps:
        streams = {PARAMS: b"", STDIN: b""}
        is_open = True
        while is_open:
            header = reader.exactly(8)
            if len(header) < 8:
                return
            kind, number, length, padding = struct.unpack(">xBHHBx", header)
            content = reader.exactly(length + padding)[:length]
            if kind == BEGIN_REQUEST:
                keeps = bool(content[2] & 1)
            elif kind in streams:
                streams[kind] += content
                is_open = kind != STDIN or length > 0
        reader.connection.sendall(fastcgi_answer(number, fastcgi_pairs(streams[PARAMS]), streams[STDIN]))


def serve_scgi(reader):
    length = reader.until(b":")
    if not length:
        return
    words = reader.exactly(int(length) + 1)[:-2].split(b"\0")
    variables = {name.decode(): value.decode() for name, value in zip(words[::2], words[1::2])}
    status, fields, body = answer(variables, reader.exactly(int(variables["CONTENT_LENGTH"] or 0)))
    reader.connection.sendall(head_of(status, fields) + (b"" if variables["REQUEST_METHOD"] == "HEAD" else body))


def serve_uwsgi(reader):
    header = reader.exactly(4)
    if len(header) < 4:
        return
    block = reader.exactly(struct.unpack("<xHx", header)[0])
    words, at = [], 0
    while at < len(block):
        length, = struct.unpack_from("<H", block, at)
        words.append(block[at + 2:at + 2 + length].decode())
        at += 2 + length
    variables = dict(zip(words[::2], words[1::2]))
    status, fields, body = answer(variables, reader.exactly(int(variables.get("CONTENT_LENGTH") or 0)))
    head = "\r\n".join([f"HTTP/1.1 {status} As asked", *(f"{name}: {value}" for name, value in fields), "", ""])
    reader.connection.sendall(head.encode() + (b"" if variables["REQUEST_METHOD"] == "HEAD" else body))


def main(protocol, record=None):
    serve = {"fastcgi": serve_fastcgi, "multiplexed": serve_multiplexed, "scgi": serve_scgi, "uwsgi": serve_uwsgi}[protocol]
    recorded = open(record or "/dev/null", "wb", buffering=0)

    def work(connection):
        with connection:
            try:
                serve(Reader(connection, recorded))
            except (ConnectionError, BrokenPipeError):
                pass

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print("port", listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=work, args=(listener.accept()[0],), daemon=True).start()


main(*sys.argv[1:])
