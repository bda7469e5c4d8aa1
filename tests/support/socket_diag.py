# SPDX-License-Identifier: Apache-2.0
"""The other end of a TCP connection on this machine, by what the kernel says of it: sock_diag(7)."""

import socket
import struct

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST = 4, 20, 1
INET_DIAG_INFO, ANY = 2, 0xFFFFFFFF
HEADER = struct.Struct("=IHHII")
PORTS_AND_ADDRESSES = struct.Struct(">HH16s16s")
MESSAGE_SIZE, QUEUES = 72, struct.Struct("=4xII")  # struct inet_diag_msg; from its idiag_expires on
BYTES_RECEIVED = 128  # in struct tcp_info


def _request(connection):
    """A struct inet_diag_req_v2 for the end that this one speaks to."""
    theirs, ours = connection.getpeername(), connection.getsockname()
    addresses = (socket.inet_pton(connection.family, name[0]) for name in (theirs, ours))
    body = struct.pack("=BBBBI", connection.family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, ANY)
    body += PORTS_AND_ADDRESSES.pack(theirs[1], ours[1], *addresses) + struct.pack("=III", 0, ANY, ANY)
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + body


def _tcp_info(attributes):
    """The struct tcp_info among an answer's attributes; None: it is no socket any more, but one that waits for stragglers."""
    while attributes:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == INET_DIAG_INFO:
            return attributes[4:length]
        attributes = attributes[length + 3 & ~3:]
    return None


def _ask(connection):
    """What its program has yet to read, and what its kernel has received; or None when there is no other end."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.send(_request(connection))
        answer = netlink.recv(65536)
    if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        return None
    waiting, _ = QUEUES.unpack_from(answer, HEADER.size + MESSAGE_SIZE - 20)
    info = _tcp_info(answer[HEADER.size + MESSAGE_SIZE:])
    return (waiting, *struct.unpack_from("=Q", info, BYTES_RECEIVED)) if info else None


def read_bytes(connection):
    """How many bytes the other end's program has read at least, or None when there is no other end. Both numbers of one
    answer may be of different moments."""
    first, second = _ask(connection), _ask(connection)
    return first and second and first[1] - second[0]
