# SPDX-License-Identifier: Apache-2.0
"""A server that plays a script, byte for byte: it shows what no real server would send or take. Usage: scripted.py FILE

The file is JSON: one conversation for each connection, in the order they come in, and each a list of [read, write]: so many bytes
are read, then this text (Latin-1) is written. After its conversation a connection is read to its end, and closed."""

import json
import socket
import sys


def play(connection, conversation):
    """Play one conversation; a client that leaves early ends it."""
    for count, text in conversation:
        while count > 0:
            data = connection.recv(min(count, 65536))
            if not data:
                return
            count -= len(data)
        connection.sendall(text.encode("latin-1"))
    while connection.recv(65536):
        pass


def main():
    """Serve the conversations, then end."""
    with open(sys.argv[1], encoding="ascii") as file:
        conversations = json.load(file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("port", listener.getsockname()[1], flush=True)
        for conversation in conversations:
            connection = listener.accept()[0]
            with connection:
                play(connection, conversation)


main()
