# SPDX-License-Identifier: Apache-2.0
"""The agent's half of logs, played by a test: takes the records of all programs that find it, and puts their lines together
as preload/wire.h says."""

import collections
import ctypes
import dataclasses
import struct
import threading
import time

from ring_agent import PAGE, PATIENCE_S, RingAgent, geometry

STDOUT, STDERR, SYSLOG, FILE = 1, 2, 3, 4
HEAD, TAIL, DROPPED = 64, 128, 192  # struct wire_lane
DROP_LOG_LINES = 11  # enum wire_drop
CELL, WIDEST = 512, 5  # bytes of one, and how many a record has at most
READY, CONSUMED = 2, 3
RECORD_LOG = 3
CONTINUES, WHOLE, SHARED = 1, 2, 4
LOG = struct.Struct("<Q16s8sIIBBBBI")


@dataclasses.dataclass
class Piece:
    """One record."""

    lane: tuple  # which ring, and which of its lanes
    time: int
    stream: int
    writer: int
    flags: int
    severity: int
    trace_id: bytes
    lost_lines: int
    left_out: int
    path: str
    text: bytes


class Lane:
    """Reads one lane's cells in order."""

    def __init__(self, ring, number, name):
        shape = geometry(ring)
        start = PAGE + number * shape["stride"]
        self.name = name
        self.ring = ring
        self.cells = shape["cells"]
        self.cells_at = start + shape["cells_at"]
        self.head = ctypes.c_uint64.from_buffer(ring, start + HEAD)  # whole words, in one store
        self.tail = ctypes.c_uint64.from_buffer(ring, start + TAIL)
        self.lost = ctypes.c_uint64.from_buffer(ring, start + DROPPED + 8 * DROP_LOG_LINES)

    def _cell(self, position):
        return self.cells_at + position % self.cells * CELL

    def _word(self, position, state):
        return ((position // self.cells + 1) << 2 | state) & 0xffffffff

    def take(self):
        """The next record's bytes, or None."""
        position = self.tail.value
        if position == self.head.value or self._state(position).value != self._word(position, READY):
            return None
        parts, data = 1, b""
        for part in range(WIDEST):
            at = self._cell(position + part)
            part_number, parts, length = struct.unpack_from("<BBH", self.ring, at + 4)
            assert part_number == part
            data += self.ring[at + 8:at + 8 + length]
            if part + 1 == parts:
                break
        for part in range(parts):
            self._state(position + part).value = self._word(position + part, CONSUMED)
        self.tail.value = position + parts
        return data

    def _state(self, position):
        return ctypes.c_uint32.from_buffer(self.ring, self._cell(position))


def piece_of(lane, data):
    """A log's record, or None for one of another kind."""
    kind, length = struct.unpack_from("<HH", data)
    assert length == len(data) - 8, (length, len(data))
    if kind != RECORD_LOG:
        return None
    moment, trace_id, _, lost, left_out, stream, flags, severity, path_length, writer = LOG.unpack_from(data, 8)
    at = 8 + LOG.size + path_length
    return Piece(lane, moment, stream, writer, flags, severity, trace_id, lost, left_out, data[at - path_length:at].decode(),
                 data[at:])


class LogAgent(RingAgent):
    """Reads all the time, in a thread of its own, until it is closed."""

    def __init__(self, path):
        self.pieces = []
        self._lanes = []
        self._known = 0
        self._is_closing = False
        self._turn = threading.Lock()  # held by who reads: what was taken off a lane is among the pieces
        super().__init__(path)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self):
        super().close()
        self._is_closing = True
        self._reader.join()
        self._lanes.clear()

    def _find_lanes(self):
        for ring in self.rings[self._known:]:
            self._lanes += [Lane(ring, n, (self._known, n)) for n in range(geometry(ring)["lanes"])]
            self._known += 1

    def _read(self):
        while not self._is_closing:
            with self._turn:
                self._find_lanes()
                count = self._take_round()
            if not count:
                time.sleep(0.001)

    def _take_round(self):
        count = 0
        for lane in self._lanes:
            while (data := lane.take()) is not None:
                piece = piece_of(lane.name, data)
                if piece:
                    self.pieces.append(piece)
                count += 1
        return count

    def settle(self):
        """Return when all that was written so far has been read: called when the writers have ended."""
        deadline = time.monotonic() + PATIENCE_S
        self.take_pending()
        while not self._has_all():
            assert time.monotonic() < deadline, "records that nobody finished"
            time.sleep(0.001)

    def _has_all(self):
        with self._turn:
            return self._known == len(self.rings) and all(lane.head.value == lane.tail.value for lane in self._lanes)

    def dropped(self):
        """Lines that the shim could not hand over."""
        return sum(lane.lost.value for lane in self._lanes)

    def written(self, stream):
        """Everything that went to a stream, as it was; of several processes in the order of time."""
        self.settle()
        return b"".join(piece.text for piece in sorted(self.pieces, key=lambda piece: piece.time) if piece.stream == stream)

    def lines(self, stream):
        """Its lines, put together by writer."""
        self.settle()
        done, open_lines = [], collections.defaultdict(bytes)
        for piece in self.pieces:
            if piece.stream != stream:
                continue
            is_shared, shared = bool(piece.flags & SHARED), (piece.lane, None)
            key = (piece.lane, piece.writer, is_shared)
            if key not in open_lines and shared in open_lines:
                open_lines[key] = open_lines.pop(shared)
            *whole, rest = (open_lines.pop(key, b"") + piece.text).split(b"\n")
            done += whole
            if piece.flags & (WHOLE | CONTINUES) == WHOLE:
                done.append(rest)
            elif rest:
                open_lines[shared if is_shared and not piece.flags & CONTINUES else key] = rest
        return done + list(open_lines.values())
