# SPDX-License-Identifier: Apache-2.0
"""wget, which keeps its connection from one URL to the next."""

import unittest

import client_matrix
from client import Client


class Wget(Client):
    """It writes bodies to its output."""

    programs = ("wget",)

    def command(self, verb, urls):
        verb, _, size = verb.partition(":")
        options = {"head": ["--spider"], "timeout": ["--read-timeout=3"]}.get(verb, [])
        if size:
            body = self.folder / "body"
            body.write_bytes(b"b" * int(size))
            options = [f"--post-file={body}"]
        return ["wget", "--no-config", "-q", "-S", "--content-on-error", "--no-proxy", "--tries=1", "-O", "-", *options, *urls]


class WgetTest(client_matrix.ClientTest):
    client_class = Wget


if __name__ == "__main__":
    unittest.main(verbosity=2)
