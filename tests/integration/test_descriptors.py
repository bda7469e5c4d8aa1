# SPDX-License-Identifier: Apache-2.0
"""Descriptors: every way in which bytes go through them, and every way in which they come, go and change hands. Each
program does the same bare and under the shim, and its requests make exactly their spans.

What is where:
  families of calls (recvfrom ... sendmmsg, readv, preadv2, _chk), flags (MSG_PEEK, TRUNC, OOB,
  ERRQUEUE, WAITALL, DONTWAIT, ZEROCOPY), zero lengths, IOV_MAX, bad pointers, sendfile, splice, tee   test-apps/fd_bytes.c
  dup family, fcntl, close_range, shutdown, accept, races with close, forks, raw system calls          test-apps/fd_lives.c
  SCM_RIGHTS                                                                                           test-apps/passed_socket.c
  stdio, io_uring, AIO, assembly                                                                       test-apps/fd_unseen.c
  inetd, socket activation                                                                             ActivationTest
  close-everything daemons, reuse under load, vfork, far descriptors, small stacks, signals            test_transparency.py
  how a connection ends, who owns it, stale references                                                 tests/unit/test_conn*.c
"""

import re
import subprocess
import unittest

from harness import APPS, BARE, ShimTest

ANSWERED = (200, "")
UNANSWERED = (0, "no_response")


class ScenarioTest(ShimTest):
    """Programs of test-apps/scenario.h: one connection, one request and one way each."""

    def _outcomes(self):
        """Path, status and error of each span."""
        return sorted((span["attributes"]["url.path"], span["attributes"].get("http.response.status_code", 0),
                       span["attributes"].get("error.type", "")) for span in self.spans())

    def _check(self, program, exceptions=None, others=(), dropped=None):
        """Run it both ways; each scenario makes an answered span but for `exceptions` (name -> spans' status and error);
        `others` are answered requests of other paths, `dropped` is what is counted as lost, by cause."""
        exceptions = exceptions or {}
        bare = subprocess.run([APPS / program], env=self.spanshim.env(preload=False), capture_output=True, text=True,
                              timeout=60, check=False)
        shimmed = subprocess.run([APPS / program], env=self.spanshim.env(), capture_output=True, text=True, timeout=60,
                                 check=False)
        self.assertEqual((0, ""), (bare.returncode, bare.stderr))
        self.assertEqual(bare.stdout, shimmed.stdout)
        self.assertEqual((0, ""), (shimmed.returncode, shimmed.stderr))
        names = re.findall(r"^-- (\S+)$", bare.stdout, re.MULTILINE)
        self.assertTrue(names)
        if BARE:
            return
        expected = [(f"/{name}", *outcome) for name in names for outcome in exceptions.get(name, [ANSWERED])]
        expected = sorted(expected + [(path, *ANSWERED) for path in others])
        self.spans(len(expected))
        self.assertEqual(expected, self._outcomes())
        counts = self.spanshim.status()["totals"]["dropped"]
        self.assertEqual(dropped or {}, {cause: count for cause, count in counts.items() if count})

    def test_bytes(self):
        self._check("fd_bytes")
        for span in self.spans():
            self.assertEqual(2, span["attributes"]["http.response.body.size"], span["attributes"])

    def test_ways_past_the_hooks(self):
        """What can't be followed is counted, and no span claims to know."""
        blind = ("fdopen", "fdopen-late", "aio", "io-uring", "io-uring-body", "syscall", "assembly", "assembly-close",
                 "assembly-close-twice")
        self._check("fd_unseen", dict.fromkeys((*blind, "assembly-close-file"), []), others=["/after"],
                    dropped={"blind": len(blind), "bad_framing": 1})

    def test_lives(self):
        self._check("fd_lives", {
            "dup2-over": [ANSWERED, UNANSWERED],
            "close-range": [UNANSWERED],
            "close-range-unshare": [UNANSWERED],
            "close-range-raw": [UNANSWERED],
            "closefrom": [UNANSWERED],
            "shut-rd-unanswered": [UNANSWERED],
            "reused": [UNANSWERED],
            "fast-open": [ANSWERED, ANSWERED],
            "unix-pair": [ANSWERED, ANSWERED],
        }, others=["/again"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
