# SPDX-License-Identifier: Apache-2.0
"""The agent's end of hand-overs, played by a test: takes the rings of the programs that find it, as preload/wire.h says."""

import mmap
import os
import socket
import struct
import threading

from processes import PATIENCE_S

PAGE = 4096
CRASH_WANTED = 72  # struct wire_control
GEOMETRY = struct.Struct("<IHHIIIIQQQQQQQQI")


class RingAgent:
    """Listens where programs look (SPANSHIM_AGENT). Wants crashes unless told otherwise."""

    def __init__(self, path, wanted=True):
        self.wanted = wanted
        self.rings = []  # the mappings, in the order they came
        self._controls = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._take_all, daemon=True)
        self._thread.start()

    def close(self):
        """Listen no more; what was mapped goes with this object."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _take_all(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
            if len(descriptors) == 2:
                self._take(*descriptors)

    def _take(self, ring, control):
        page = mmap.mmap(control, PAGE)
        mapping = mmap.mmap(ring, os.fstat(ring).st_size)
        os.close(ring)
        os.close(control)
        struct.pack_into("<I", page, CRASH_WANTED, self.wanted)
        struct.pack_into("<I", page, 0, 2)
        self._controls.append(page)
        self.rings.append(mapping)
        self._taken.set()

    def take_pending(self):
        """Return when all hand-overs that were sent so far have been taken."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as last:
            last.connect(self._listener.getsockname())
            last.send(b"last")
            last.settimeout(PATIENCE_S)
            last.recv(1)  # the end: it was this one's turn

    def taken(self):
        """Has a program been taken over? Waits for it."""
        return self._taken.wait(PATIENCE_S)


def geometry(ring):
    """What a ring is cut into."""
    fields = GEOMETRY.unpack_from(ring)
    return {"lanes": fields[3], "cells": fields[5], "stride": fields[7], "cells_at": fields[9], "crash": fields[13],
            "copies": fields[14]}
