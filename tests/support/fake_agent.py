#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that notes what the launcher says to it and answers as it is told: the launcher's half of the contract alone.

Started as the real one is (--background --if-absent). Every message is a line of JSON in $SPANSHIM_RUNTIME_DIR/messages.
`answers` in the same folder, JSON by message type, says what is written to a passed descriptor and how long an answer
takes."""

import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path

HEADER = struct.Struct("<IHHIIQ")  # preload/wire.h: struct wire_message
MAGIC, VERSION = 0x4E415053, 2
TYPES = {1: "handover", 2: "status", 3: "flush", 4: "console", 5: "stop", 8: "barrier"}


def serve(connection, folder):
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
    if not data:
        return
    magic, version, number, pid, text_length, _ = HEADER.unpack(data[:HEADER.size])
    text = data[HEADER.size:]
    kind = TYPES[number]
    note = {"ok": (magic, version, text_length) == (MAGIC, VERSION, len(text)), "type": kind, "pid": pid,
            "text": text.decode().split("\0")[:-1], "descriptors": len(descriptors)}
    with open(folder / "messages", "a", encoding="utf-8") as messages:
        messages.write(json.dumps(note) + "\n")
    answers = folder / "answers"
    plan = json.loads(answers.read_text()).get(kind, {}) if answers.exists() else {}
    if kind == "console":
        connection.recv(1)  # the launcher's half-close
        (folder / "console-waits").touch()
    time.sleep(plan.get("delay", 0))
    for descriptor in descriptors:
        os.write(descriptor, plan.get("print", "").encode())
        os.close(descriptor)
    try:
        connection.sendall(json.dumps(plan.get("answer", {"result": "ok"})).encode())
    except OSError:
        pass
    connection.close()
    if kind == "stop":
        mark_of(folder).unlink()
        os._exit(0)


def mark_of(folder):
    """A file that says by its name which process is to be ended."""
    return folder / f"pid.{os.getpid()}"


def main():
    folder = Path(os.environ["SPANSHIM_RUNTIME_DIR"])
    if os.environ.get("LOGNAME") == "refused":
        sys.exit("spanshim-agent: refused for a test")
    if os.environ.get("LOGNAME") == "slow":
        time.sleep(2.5)
    assert sys.argv[1:] == ["--background", "--if-absent"], sys.argv
    folder.mkdir(exist_ok=True)
    started = {"environment": dict(os.environ), "descriptors": sorted(os.listdir("/proc/self/fd"))}
    (folder / "started").write_text(json.dumps(started))
    mark_of(folder).touch()  # before anybody finds us, and the test may end
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    new = folder / f"new.{os.getpid()}"
    listener.bind(str(new))
    listener.listen()
    os.link(new, folder / "agent.sock")  # who finds it is answered
    new.unlink()
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 2)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, folder), daemon=True).start()


main()
