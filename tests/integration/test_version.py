# SPDX-License-Identifier: Apache-2.0
"""Shims of other versions than the agent: programs that run on while spanshim is updated."""

import unittest

import servers
from harness import BARE, BUILD, ShimTest, Traffic, preload_environment

REQUESTS = 50


@unittest.skipIf(BARE, "bare run")
class VersionTest(ShimTest):
    def _traffic(self, version):
        """A server under the shim of this wire version, and requests to it."""
        env = self.spanshim.env(**preload_environment(BUILD / "tests" / f"libspanshim-wire{version}.so"))
        process, port = servers.httpd(self, env=env)
        traffic = Traffic(port)
        with traffic.connect() as connection:
            for number in range(REQUESTS):
                traffic.request(connection, "POST", f"/size/{number}?a={number}", b"x" * number)
        return process, traffic

    def test_previous_version_is_read(self):
        process, traffic = self._traffic(1)
        self.check_spans(traffic.exchanges)
        process.kill()
        self.assertEqual([], [line for line in self.spanshim.log().splitlines() if "version" in line])

    def test_unknown_version_is_refused(self):
        process, traffic = self._traffic(99)
        self.assertEqual([200] * REQUESTS, [exchange.status for exchange in traffic.exchanges])
        self.assertEqual([], self.spans())
        lines = [line for line in self.spanshim.log().splitlines() if "wire version" in line]
        self.assertEqual(1, len(lines), self.spanshim.log())
        self.assertIn(f"process {process.pid}:", lines[0])
        self.assertIsNone(process.popen.poll())


if __name__ == "__main__":
    unittest.main(verbosity=2)
