# SPDX-License-Identifier: Apache-2.0
"""Load generators: many requests on many connections, each with its header and its span."""

import re
import signal
import unittest

import client_matrix
from client import Client
from processes import wait_until


class Ab(Client):
    """Apache's ab: HTTP/1.0."""

    programs = ("ab",)
    is_crowd = True

    def output(self, data):
        """What it counted."""
        return b"".join(re.findall(rb"(?:Complete|Failed|Keep-Alive) requests: *\d+\n|Non-2xx.*\n", data))


class Wrk(Client):
    """wrk: as many requests as it can make until it is told to stop."""

    programs = ("wrk",)


class AbTest(client_matrix.ClientTest):
    client_class = Ab

    def test_each_case(self):
        """One connection for each request, and kept ones."""
        for options in ([], ["-k"]):
            with self.subTest(options=options):
                self.check_run(["ab", "-q", "-n", "400", "-c", "8", *options, self.url("/size/100")], at_least=400)


class WrkTest(client_matrix.ClientTest):
    client_class = Wrk

    def test_each_case(self):
        """However many there were: the same bytes but for the header, and a span for each. What wrk leaves open at its end
        has no whole answer."""
        distinct = []
        for env in (self.spanshim.env(preload=False), self.spanshim.env()):
            self.server.clear()
            wrk = self.run_program(["wrk", "-t", "2", "-c", "8", "-d", "600s", self.url("/size/100")], env=env)
            wait_until(lambda: len(self.server.requests) > 100, what="requests of wrk")
            wrk.popen.send_signal(signal.SIGINT)
            self.assertEqual(0, wrk.wait())
            self.server.settle()
            distinct.append({request for connection in self.on_the_wire() for request in connection})
        self.assertEqual(1, len(distinct[0]))
        self.assertEqual(*distinct)


if __name__ == "__main__":
    unittest.main(verbosity=2)
