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
import shutil
import socket
import subprocess
import unittest

from harness import APPS, BARE, ShimTest, Traffic, is_sanitized
from processes import PATIENCE_S, free_port, listens, wait_until

ANSWERED = (200, "")
UNANSWERED = (0, "no_response")
BAD_POINTERS = ("efault", "accept")  # scenarios that AddressSanitizer's own interceptors crash of


class ScenarioTest(ShimTest):
    """Programs of test-apps/scenario.h: one connection, one request and one way each."""

    def _outcomes(self):
        """Path, status and error of each span."""
        return sorted((span["attributes"]["url.path"], span["attributes"].get("http.response.status_code", 0),
                       span["attributes"].get("error.type", "")) for span in self.spans())

    def _run(self, program, names, preload):
        """What it prints; it must not fail."""
        env = self.spanshim.env(preload=preload, OTEL_PROPAGATORS="none")  # the client's part of it is looked at elsewhere
        done = subprocess.run([APPS / program, *names], env=env, capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def _check(self, program, exceptions=None, others=(), dropped=None):
        """Run it both ways; each scenario makes an answered span but for `exceptions` (name -> spans' status and error);
        `others` are answered requests of other paths, `dropped` is what is counted as lost, by cause."""
        exceptions = exceptions or {}
        names = re.findall(r"^-- (\S+)$", self._run(program, [], preload=False), re.MULTILINE)
        if is_sanitized():
            names = [name for name in names if name not in BAD_POINTERS]
        self.assertTrue(names)
        self.assertEqual(self._run(program, names, preload=False), self._run(program, names, preload=True))
        if BARE:
            return
        expected = [(f"/{name}", *outcome) for name in names for outcome in exceptions.get(name, [ANSWERED])]
        expected = sorted(expected + [(path, *ANSWERED) for path in others])
        self.spans(len(expected))
        self.assertEqual(expected, self._outcomes())
        counts = self.spanshim.status()["totals"]["dropped"]
        self.assertEqual(dropped or {}, {cause: count for cause, count in counts.items() if count})

    def test_bytes(self):
        self._check("fd_bytes", {"trunc-head": []}, dropped={"bad_framing": 1})
        for span in self.spans():
            self.assertEqual(2, span["attributes"]["http.response.body.size"], span["attributes"])

    def test_ways_past_the_hooks(self):
        """What can't be followed is counted, and no span claims to know."""
        blind = ("fdopen", "fdopen-late", "aio", "io-uring", "io-uring-body", "syscall", "assembly", "assembly-close",
                 "assembly-close-twice", "execve", "execv", "execvp", "execvpe", "fexecve", "execl", "execle", "execlp",
                 "quick-exit")
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


# What an inetd program of the old school looks like: reads from standard input, answers on standard output.
ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
ANSWER_HEAD_TEXT = ANSWER_HEAD.decode().replace("\r\n", "\\r\\n")
INETD_READS = "while IFS= read -r line && [ ${#line} -gt 1 ]; do :; done\n"
INETD_ANSWERS = f"printf '{ANSWER_HEAD_TEXT}hi'\n"
INETD_SCRIPT = INETD_READS + INETD_ANSWERS


class ActivationTest(ShimTest):
    """Programs that are given their sockets: by inetd, by systemd."""

    def _socket_activate(self, *argv):
        """systemd's own activation of a program on a free port, which is returned."""
        port = free_port()
        self.run_program(["/usr/bin/systemd-socket-activate", "-l", f"127.0.0.1:{port}",
                          *(f"--setenv={name}={value}" for name, value in self.spanshim.env().items()), *argv],
                         env=self.spanshim.env(preload=False), name="systemd-socket-activate")
        wait_until(lambda: listens(port), what="the activation listens")
        return Traffic(port)

    def _inetd(self, traffic, argv, times=3):
        """inetd's "nowait": the connection is all three standard descriptors of a new process, each time."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            traffic.port = listener.getsockname()[1]
            for _ in range(times):
                with traffic.connect() as connection:
                    served, _ = listener.accept()
                    popen = subprocess.Popen(argv, stdin=served, stdout=served, stderr=served, env=self.spanshim.env())
                    served.close()
                    traffic.request(connection, "GET", "/inetd")
                    self.assertEqual(0, popen.wait(PATIENCE_S))

    def test_inetd_shell(self):
        traffic = Traffic(0)
        self._inetd(traffic, ["/bin/sh", "-c", INETD_SCRIPT])
        self.check_spans(traffic.exchanges)

    def test_inetd_ends_with_the_program(self):
        """An answer without a length ends when the program does: in order, which is no failure."""
        traffic = Traffic(0)
        self._inetd(traffic, ["/bin/sh", "-c", INETD_READS + "printf 'HTTP/1.1 200 OK\r\n\r\nhi'"])
        self.check_spans(traffic.exchanges)

    def test_inetd_helpers(self):
        """Programs that a script runs have the connection, too: that they end says nothing of it."""
        traffic = Traffic(0)
        self._inetd(traffic, ["/bin/sh", "-c", INETD_READS + "today=$(date); " + INETD_ANSWERS])
        self.check_spans(traffic.exchanges)
        if not BARE:
            self.assertEqual(0, self.spanshim.status()["totals"]["dropped"]["blind"])

    def test_inetd_answered_by_others(self):
        """Another program gives the answer, the rest of it, or takes the script's place: counted, not called a failure."""
        body = self.directory / "body"
        body.write_text("hi")
        head = self.directory / "head"
        head.write_bytes(ANSWER_HEAD)
        for ending in (f"cat {head} {body}", f"printf '{ANSWER_HEAD_TEXT}'; cat {body}", f"exec cat {head} {body}"):
            for shell in ("/bin/sh", "/bin/bash"):
                with self.subTest(ending, shell=shell):
                    before = 0 if BARE else self.spanshim.status()["totals"]["dropped"]["blind"]
                    self._inetd(Traffic(0), [shell, "-c", INETD_READS + ending + "\n"], times=1)
                    self.check_spans([])
                    if not BARE:
                        self.assertEqual(before + 1, self.spanshim.status()["totals"]["dropped"]["blind"])

    def test_inetd_stdio_is_counted(self):
        """Streams on the standard descriptors move their bytes inside libc."""
        traffic = Traffic(0)
        self._inetd(traffic, [APPS / "inetd_stdio"])
        self.check_spans([])
        if not BARE:
            self.assertEqual(3, self.spanshim.status()["totals"]["dropped"]["blind"])

    def test_inetd_wait(self):
        """inetd's "wait": the listener is standard input."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            self.run_program([APPS / "httpd", "--listener", "0"], stdin=listener)
            traffic = Traffic(port)
            for _ in range(3):
                traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "no systemd-socket-activate here")
    def test_systemd_listener(self):
        traffic = self._socket_activate(APPS / "httpd", "--activated")
        for _ in range(3):
            traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "no systemd-socket-activate here")
    def test_systemd_connection(self):
        """Accept=yes: the connection is descriptor 3."""
        traffic = self._socket_activate("--accept", APPS / "httpd", "--connection", "3")
        for _ in range(3):
            traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "no systemd-socket-activate here")
    def test_systemd_inetd(self):
        traffic = self._socket_activate("--accept", "--inetd", "/bin/sh", "-c", INETD_SCRIPT)
        for _ in range(3):
            traffic.once("GET", "/inetd")
        self.check_spans(traffic.exchanges)


class PassedTest(ShimTest):
    """Connections that another process takes over (SCM_RIGHTS)."""

    def _gets(self, *options, count=5):
        process = self.run_program([APPS / "passed_socket", *options])
        traffic = Traffic(process.announced_port())
        with traffic.connect() as connection:
            for _ in range(count):
                traffic.request(connection, "GET", "/size/10")
        return traffic

    def test_before_the_first_request(self):
        self.check_spans(self._gets().exchanges)

    def test_several_in_a_message(self):
        self.check_spans(self._gets("several").exchanges)

    def test_cut_off(self):
        """MSG_CTRUNC: there was no room for the second descriptor."""
        self.check_spans(self._gets("cut").exchanges)

    def test_within_a_request(self):
        """Who read the request doesn't answer it: counted. The next ones are seen where they are served."""
        traffic = self._gets("within")
        self.check_spans(traffic.exchanges[1:])
        if not BARE:
            self.assertEqual(1, self.spanshim.status()["totals"]["dropped"]["blind"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
