# SPDX-License-Identifier: Apache-2.0
"""The agent's half of a crash, played by a test: takes the hand-over of one program, and reads and moves the state of its
lanes' crashes as preload/wire.h says."""

import ctypes
import dataclasses
import mmap
import os
import socket
import struct
import threading
import time

PAGE = 4096
NONE, FILLING, READY, READING, REFUSED, COPIED, DONE, ALONE = range(8)
HANDLED, EXITED, VFORK_CHILD = 1, 2, 4
REGISTER_RSP, REGISTER_RIP = 15, 16
CRASH_WANTED = 72  # struct wire_control
COPY_OWNERS = 92  # struct wire_ring
COPY_SIZE = 256 * 1024
COPIED_STACK = 192 * 1024
GEOMETRY = struct.Struct("<IHHIIIIQQQQQQQQI")
CRASH = struct.Struct("<IIIIiiQQQ16s8s128s23QQQIIII512s2048s")
SYS_FUTEX, FUTEX_WAKE = 202, 1
PATIENCE_S = 20


@dataclasses.dataclass
class Crash:
    """What stands in one lane."""

    lane: int
    state: int
    flags: int
    pid: int
    tid: int
    death_signal: int
    handler: int
    siginfo: tuple  # signal, errno, code, address or sender
    registers: tuple
    stack_at: int
    stack: bytes
    copy_at: int
    copy_length: int
    copy_number: int
    text: str


class CrashAgent:
    """Listens where the program looks (SPANSHIM_AGENT). Wants crashes unless told otherwise."""

    def __init__(self, path, wanted=True):
        self.wanted = wanted
        self.ring = self.control = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def close(self):
        """Listen no more; what was mapped goes with this object."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _take(self):
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
        ring, control = descriptors
        self.control = mmap.mmap(control, PAGE)
        self.ring = mmap.mmap(ring, os.fstat(ring).st_size)
        for descriptor in descriptors:
            os.close(descriptor)
        struct.pack_into("<I", self.control, CRASH_WANTED, self.wanted)
        struct.pack_into("<I", self.control, 0, 2)
        self._taken.set()

    def taken(self):
        """Has the program been taken over? Waits for it."""
        return self._taken.wait(PATIENCE_S)

    def _geometry(self):
        fields = GEOMETRY.unpack_from(self.ring)
        return {"lanes": fields[3], "stride": fields[7], "crash": fields[13], "copies": fields[14]}

    def _at(self, lane):
        geometry = self._geometry()
        return PAGE + lane * geometry["stride"] + geometry["crash"]

    def crashes(self):
        """Those of all lanes in which something stands."""
        if not self.taken():
            return []
        lanes = range(self._geometry()["lanes"])
        return [self.read(lane) for lane in lanes if self.state(lane) not in (NONE, FILLING)]

    def state(self, lane):
        """The word that both sides wait on."""
        return struct.unpack_from("<I", self.ring, self._at(lane))[0]

    def read(self, lane):
        """The lane's crash as it stands."""
        fields = CRASH.unpack_from(self.ring, self._at(lane))
        state, flags, pid, tid, death, _, _, _, handler, _, _, info = fields[:12]
        registers = fields[12:35]
        stack_at, copy_at, stack_length, copy_length, copy_number, text_length, text, stack = fields[35:]
        return Crash(lane, state, flags, pid, tid, death, handler, struct.unpack_from("<iii4xQ", info), registers, stack_at,
                     stack[:stack_length], copy_at, copy_length, copy_number, text[:text_length].decode())

    def wait(self, states, lane=0):
        """Wait until one of these states stands in the lane."""
        assert self.taken()
        deadline = time.monotonic() + PATIENCE_S
        while self.state(lane) not in states:
            assert time.monotonic() < deadline, f"state {self.state(lane)} instead of {states}"
            time.sleep(0.001)
        return self.read(lane)

    def move(self, state, lane=0):
        """The agent's turn: store, and wake who waits."""
        struct.pack_into("<I", self.ring, self._at(lane), state)
        word = (ctypes.c_char * 4).from_buffer(self.ring, self._at(lane))
        ctypes.CDLL(None).syscall(SYS_FUTEX, ctypes.c_void_p(ctypes.addressof(word)), FUTEX_WAKE, 1, 0, 0, 0)
        del word

    def copy(self, crash):
        """The bytes of the crash's copy area."""
        at = self._geometry()["copies"] + (crash.copy_number - 1) * COPY_SIZE
        return self.ring[at:at + crash.copy_length]

    def copy_owner(self, number):
        """Which lane (plus one) has taken this area."""
        return struct.unpack_from("<I", self.ring, COPY_OWNERS + 4 * (number - 1))[0]
