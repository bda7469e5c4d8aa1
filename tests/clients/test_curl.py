# SPDX-License-Identifier: Apache-2.0
"""The curl program, over HTTP/1 and over TLS."""

import unittest

import client_matrix
from client import Client


class Curl(Client):
    """It follows redirects."""

    programs = ("curl",)
    by_curl = True
    masks = ((rb"after \d+ m(illi)?s", b"after N ms"),)

    def command(self, verb, urls):
        verb, _, size = verb.partition(":")
        options = {"head": ["--head"], "timeout": ["--max-time", "3"]}.get(verb, [])
        if size:
            body = self.folder / "body"
            body.write_bytes(b"b" * int(size))
            options = ["--data-binary", f"@{body}"]
        return ["curl", "-q", "-sSL", "--noproxy", "*", *options, *urls]


class CurlTest(client_matrix.ClientTest):
    client_class = Curl

    def test_login(self):
        """With credentials that are sent at once, and after having been asked for them."""
        for way in ("--basic", "--anyauth"):
            with self.subTest(way=way):
                self.check_run([*self.client.command("get", [self.url("/login")]), way, "--user", "name:secret"])

    def test_body_withheld(self):
        """Expect: 100-continue, answered and refused. It waits for that, however long it takes."""
        for target in ("/echo", "/reject"):
            with self.subTest(target=target):
                self.check_run([*self.client.command("post:1000000", [self.url(target)]), "-H", "Expect: 100-continue",
                                "--expect100-timeout", "60"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
