# SPDX-License-Identifier: Apache-2.0
"""The agent's half of a crash, played by a test: reads and moves the state of a program's lanes' crashes as preload/wire.h
says."""

import ctypes
import dataclasses
import struct
import time

from ring_agent import PAGE, PATIENCE_S, RingAgent, geometry

NONE, FILLING, READY, READING, REFUSED, COPIED, DONE, ALONE = range(8)
HANDLED, EXITED, VFORK_CHILD = 1, 2, 4
REGISTER_RSP, REGISTER_RIP = 15, 16
COPY_OWNERS = 92  # struct wire_ring
COPY_SIZE = 256 * 1024
COPIED_STACK = 192 * 1024
CRASH = struct.Struct("<IIIIiiQQQ16s8s128s23QQQIIII512s2048s")
SYS_FUTEX, FUTEX_WAKE = 202, 1


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


class CrashAgent(RingAgent):
    """Of one program."""

    @property
    def ring(self):
        """The program's."""
        return self.rings[0]

    def _geometry(self):
        return geometry(self.ring)

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
