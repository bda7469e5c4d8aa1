# SPDX-License-Identifier: Apache-2.0
"""redis-server, which speaks no HTTP: the same answers, children, descriptors and system calls as bare, and no span."""

import re
import subprocess
import unittest

import system_calls
from http_client import Connection
from processes import descriptors, free_port, listens, wait_until
from untouched import UntouchedTest, idle_descriptors, open_sockets

SERVER = ["/usr/bin/redis-server", "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]

COMMANDS = """
SET name value
GET name
INCRBY count 41
INCR count
RPUSH list a b c
LRANGE list 0 -1
HSET hash field value other 2
HGETALL hash
ZADD scores 1 one 2 two
ZRANGEBYSCORE scores 0 5 WITHSCORES
SETRANGE long 99999 x
STRLEN long
GETRANGE long 0 99999
EVAL "return {KEYS[1], redis.call('GET', KEYS[1])}" 1 name
MULTI
INCR count
EXEC
GET /index.html
GET
NOSUCH command
DEBUG DIGEST
"""


def command(*words):
    """A command as redis-cli sends it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def written(path):
    """The text of a file that redis makes after it has begun to listen; empty while it does."""
    return path.read_text() if path.exists() else ""


def wait_for_closing_thread(pid):
    """Until it has closed the files that others have taken the place of: the next descriptor's number depends on it."""
    wait_until(lambda: not any(what.endswith(" (deleted)") for what in descriptors(pid).values()), what="replaced files are closed")


class RedisTest(UntouchedTest):
    """Each test runs the server twice, bare and shimmed, and compares."""

    programs = ("redis-server", "redis-cli", "redis-benchmark")

    def _serve(self, env, *options, strace=()):
        folder = self.directory / f"redis.{len(self.started)}"
        folder.mkdir()
        port = free_port()
        process = self.run_program([*strace, *SERVER, "--port", port, "--dir", folder, *options], env=env, name="redis")
        wait_until(lambda: listens(port), what="redis listens")
        return process, port, folder

    def _cli(self, port, commands):
        result = subprocess.run(["redis-cli", "-p", str(port)], input=commands, text=True, capture_output=True,
                                env=self.spanshim.env(preload=False), timeout=60, check=True)
        return result.stdout

    def _info(self, port, field):
        return re.search(rf"{field}:(.*)", self._cli(port, "INFO everything\n")).group(1).strip()

    def _converse(self, port, data, end):
        """Send bytes on a fresh connection; what comes back up to `end`, or to the connection's end if that is None."""
        with Connection(port) as connection:
            connection.send(data)
            answer = b""
            while end is None or not answer.endswith(end):
                part = connection.socket.recv(65536)
                if not part:
                    break
                answer += part
            return answer

    def test_commands(self):
        def run(env):
            process, port, _ = self._serve(env)
            sockets = open_sockets(process.pid)
            return self._cli(port, COMMANDS), idle_descriptors(process.pid, sockets)

        answers, _ = self.both(run)
        self.assertIn("100000", answers)
        self.check_nothing_told()

    def test_pipelining_and_inline_commands(self):
        """Inline commands look like the beginning of a request."""
        pipeline = b"".join(command(b"INCR", b"n") for _ in range(5000)) + b"GET n\r\nGET /n HTTP\r\nECHO end\r\n"

        def run(env):
            _, port, _ = self._serve(env)
            return self._converse(port, pipeline, b"$3\r\nend\r\n")

        self.assertIn(b":5000\r\n$4\r\n5000\r\n-ERR", self.both(run))
        self.check_nothing_told()

    def test_request_of_a_browser(self):
        """redis hangs up on what turns out to be HTTP: a request it was, without an answer."""
        def run(env):
            _, port, _ = self._serve(env)
            return self._converse(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", None)

        self.assertEqual(b"", self.both(run))
        self.needs_spans()
        self.assertEqual(["no_response"], [span["attributes"]["error.type"] for span in self.spans(1)])
        self.assertEqual("redis-server", self.spans(1)[0]["resource"]["service.name"])  # a link to redis-check-rdb

    def test_daemon(self):
        def run(env):
            starter, port, folder = self._serve(env, "--daemonize", "yes", "--pidfile", "redis.pid")
            self.assertEqual(0, starter.wait())
            pid = int(wait_until(lambda: written(folder / "redis.pid"), what="redis' process number"))
            sockets = open_sockets(pid)
            return self._cli(port, COMMANDS), idle_descriptors(pid, sockets), self._cli(port, "SHUTDOWN\n")

        self.both(run)
        self.check_nothing_told()

    def test_subscribers(self):
        def run(env):
            _, port, _ = self._serve(env)
            with Connection(port) as one, Connection(port) as two:
                for subscriber in (one, two):
                    subscriber.send(command(b"SUBSCRIBE", b"news"))
                    subscriber.read_exactly(len(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"))
                published = self._converse(port, command(b"PUBLISH", b"news", b"GET / HTTP/1.1"), b":2\r\n")
                return published, [each.read_until(b"HTTP/1.1\r\n") for each in (one, two)]

        self.both(run)
        self.check_nothing_told()

    def test_saving_in_a_child(self):
        def run(env):
            process, port, folder = self._serve(env, "--appendonly", "yes")
            sockets = open_sockets(process.pid)
            answers = self._cli(port, "DEBUG POPULATE 20000\n")
            answers += self._cli(port, "BGSAVE\n")
            wait_until(lambda: self._info(port, "rdb_saves") == "1" and self._info(port, "rdb_bgsave_in_progress") == "0",
                       what="BGSAVE ends")
            wait_for_closing_thread(process.pid)
            answers += self._cli(port, "BGREWRITEAOF\n")
            wait_until(lambda: self._info(port, "aof_rewrites") == "1" and self._info(port, "aof_rewrite_in_progress") == "0",
                       what="BGREWRITEAOF ends")
            wait_for_closing_thread(process.pid)
            answers += self._info(port, "rdb_last_bgsave_status") + self._info(port, "aof_last_bgrewrite_status")
            answers += self._cli(port, "DEBUG DIGEST\n")
            after = idle_descriptors(process.pid, sockets)
            process.terminate()
            check = subprocess.run(["redis-check-rdb", folder / "dump.rdb"], capture_output=True, text=True, check=False)
            return answers, after, check.returncode

        self.assertIn("okok", self.both(run)[0])
        self.check_nothing_told()

    def test_benchmark(self):
        def run(env):
            _, port, _ = self._serve(env)
            for depth in (1, 16):
                argv = ["redis-benchmark", "-p", port, "-q", "-n", 4800, "-c", 20, "-P", depth, "-t", "set,get,lpush,mset"]
                benchmark = self.run_program(argv, env=env)
                self.assertEqual(0, benchmark.wait(), benchmark.err)
            return [self._info(port, f"cmdstat_{name}").split(",")[0] for name in ("set", "get", "lpush", "mset")]

        self.assertEqual(["calls=9600"] * 4, self.both(run))
        self.check_nothing_told()

    def test_system_calls(self):
        def run(env):
            log = self.directory / f"strace.{len(self.started)}"
            strace, plain = system_calls.strace(log, env)
            process, port, _ = self._serve(plain, strace=strace)
            with Connection(port) as connection:
                for word in [b"mark-begin"] + [b"%d" % number for number in range(50)] + [b"mark-end"]:
                    connection.send(command(b"ECHO", word))
                    connection.read_until(b"%s\r\n" % word)
                self._cli(port, COMMANDS)
                connection.send(command(b"ECHO", b"mark-final"))
                connection.read_until(b"mark-final\r\n")
            process.kill()
            return system_calls.between(log.read_text(errors="replace"), "mark-begin", "mark-final")

        self.same_calls(run, timed={"epoll_wait", "openat"}, on="TCP:[")


if __name__ == "__main__":
    unittest.main(verbosity=2)
