# SPDX-License-Identifier: Apache-2.0
"""What the shim takes of a program's output: all of it, as it was written, and the program notices nothing."""

import os
import select
import signal
import subprocess
import threading
import unittest

import test_transparency
from harness import APPS, PYTHON, ShimTest, Traffic
from log_agent import FILE, STDERR, STDOUT, SYSLOG, LogAgent
from processes import PATIENCE_S, wait_until

ALL = "stdout,stderr,syslog"


class CaptureTest(ShimTest):
    """Programs whose rings the test reads itself."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.count = 0

    def listen(self):
        """A fresh reader."""
        self.count += 1
        agent = LogAgent(self.directory / f"log-agent.{self.count}")
        self.addCleanup(agent.close)
        return agent

    def shimmed(self, logs=ALL, **settings):
        """The environment of a program whose logs are taken."""
        socket = self.directory / f"log-agent.{self.count}"
        return self.spanshim.env(**{"SPANSHIM_AGENT": socket, "OTEL_LOGS_EXPORTER": "otlp", "SPANSHIM_LOGS": logs,
                                    "SPANSHIM_CRASH_TIMEOUT": "10", **settings})  # nobody looks at crashes

    def run_both(self, argv, logs=ALL, **settings):
        """Run bare and shimmed: both must end alike. The reader, and what the program printed."""
        argv = [str(argument) for argument in argv]
        agent = self.listen()
        ends = []
        for env in (self.spanshim.env(preload=False), self.shimmed(logs, **settings)):
            end = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=False, cwd=self.directory)
            ends.append((end.returncode, end.stdout, end.stderr))
        self.assertEqual(*ends)
        return agent, end.stdout, end.stderr


class WaysTest(CaptureTest):
    """Ways to write, one each: what is taken is what came out."""

    # What goes elsewhere than to the test's pipes, or is not seen.
    DIFFER = {"vfork": (b"", b"its parent\n"), "replaced": (b"", b""), "sandbox": (b"", b"before it\n"),
              "sandbox_early": (b"", b""), "reopened": (b"stdout, reopened\n", b""), "reopened_in_vain": (b"stdout\n", b""),
              "opened_first": (b"", b""), "error_to_copy": (b"after it\n", b"perror: No such file or directory\n"),
              "syslog_forbidden": (b"0 bytes counted\n", b"")}

    def check(self, way):
        """What is taken of a way is what it wrote."""
        agent, out, err = self.run_both([APPS / "log_ways", way])
        expected = self.DIFFER.get(way, (out, err))
        self.assertEqual(expected, (agent.written(STDOUT), agent.written(STDERR)))
        self.assertEqual(0, agent.dropped())

    def test_every_way(self):
        ways = subprocess.run([str(APPS / "log_ways")], capture_output=True, text=True, check=True).stdout.split()
        self.assertGreater(len(ways), 20)
        for way in ways:
            if way not in ("full_pipe", "many_forks", "syslog"):
                with self.subTest(way):
                    self.check(way)

    def test_streams_of_cxx(self):
        self.needs_programs(str(APPS / "log_streams"))
        agent, out, err = self.run_both([APPS / "log_streams"])
        self.assertEqual((out, err), (agent.written(STDOUT), agent.written(STDERR)))
        self.assertIn(b"no end", agent.written(STDOUT))

    def test_a_pipe_that_takes_some_of_it(self):
        agent, _, err = self.run_both([APPS / "log_ways", "full_pipe"])
        self.assertEqual(65536, len(agent.written(STDOUT)))
        self.assertEqual(b"took 65536, then -1: Resource temporarily unavailable\n", err)

    def test_syslog(self):
        agent, _, _ = self.run_both([APPS / "log_ways", "syslog"])
        *lines, long = agent.lines(SYSLOG)
        self.assertEqual([b"an error 1", b"a warning: No such file or directory", b"by vsyslog"], lines)
        self.assertEqual(2047, len(long))
        self.assertEqual([(4, 0), (5, 0), (8, 0), (7, 3000 - 2047)], [(piece.severity, piece.left_out) for piece in agent.pieces])

    def test_a_number_that_is_closed_at_start(self):
        agent = self.listen()
        subprocess.run(["/bin/sh", "-c", 'exec "$0" opened_first >&-', str(APPS / "log_ways")], env=self.shimmed(), check=True,
                       timeout=60)
        self.assertEqual((b"", b""), (agent.written(STDOUT), agent.written(STDERR)))

    def test_more_processes_than_a_ring_has_lanes(self):
        agent = self.listen()
        done = subprocess.run([str(APPS / "log_ways"), "many_forks"], env=self.shimmed(), capture_output=True, check=True,
                              timeout=60)
        self.assertEqual(sorted(done.stderr.splitlines()), sorted(agent.lines(STDERR)))

    def test_what_is_not_wanted_is_not_taken(self):
        for logs, streams in (("stdout", {STDOUT}), ("stderr", {STDERR}), ("", {STDERR}), ("none", set())):
            with self.subTest(logs):
                agent, _, _ = self.run_both([APPS / "log_ways", "formatted"], logs)
                agent.settle()
                self.assertEqual(streams, {piece.stream for piece in agent.pieces})
        agent, _, _ = self.run_both([APPS / "log_ways", "formatted"], OTEL_LOGS_EXPORTER="none")
        self.assertEqual([], agent.rings)  # such a program has no reason to look for an agent

    def test_interpreters(self):
        programs = {PYTHON: ["-c", "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.write('rest')"],
                    "perl": ["-e", "print STDOUT 'out'; print STDERR \"err\\n\"; warn 'warned'"],
                    "ruby": ["-e", "puts 'out'; $stderr.puts 'err', 'two'; warn 'warned'; $stdout.write 'rest'"],
                    "php": ["-r", "echo 'out'; fwrite(STDERR, \"err\\n\"); error_log('logged');"],
                    "node": ["-e", "console.log('out'); console.error('err'); process.stdout.write('rest')"]}
        self.needs_programs(*programs)
        for program, arguments in programs.items():
            with self.subTest(program):
                agent, out, err = self.run_both([program, *arguments])
                self.assertEqual((out, err), (agent.written(STDOUT), agent.written(STDERR)))


class ThreadsTest(CaptureTest):
    """16 threads that write at once."""

    def test_no_line_is_torn(self):
        expected = {b"%02d-%05d" % (thread, number) for thread in range(16) for number in range(60)}
        for way, stream in (("printf", STDOUT), ("stderr", STDERR), ("write", STDOUT), ("pieces", STDOUT)):
            with self.subTest(way):
                agent = self.listen()
                done = subprocess.run([str(APPS / "log_threads"), way, "60"], env=self.shimmed(), capture_output=True,
                                      timeout=60, check=True)
                lines = agent.lines(stream)
                ends = [(line[:8], line[-8:], set(line[9:-9]) <= set(b"x")) for line in lines]
                self.assertEqual({(name, name, True) for name in expected}, set(ends))
                self.assertEqual((16 * 60, 0), (len(lines), agent.dropped()))
                self.assertEqual(len(done.stdout + done.stderr), len(agent.written(stream)))

    def test_one_thread_s_lines_stay_in_order(self):
        agent = self.listen()
        subprocess.run([str(APPS / "log_threads"), "write", "60"], env=self.shimmed(), capture_output=True, timeout=60,
                       check=True)
        lines = agent.lines(STDOUT)
        for thread in range(16):
            own = [line for line in lines if line.startswith(b"%02d-" % thread)]
            self.assertEqual(sorted(own), own)


class FileTest(CaptureTest):
    """Files that are logs."""

    def test_files_by_pattern(self):
        for name in ("app.log", "app.log.1", "data"):
            (self.directory / name).unlink(missing_ok=True)
        agent = self.listen()
        log, data = self.directory / "app.log", self.directory / "data"
        env = self.shimmed("none", SPANSHIM_LOG_FILES=f"/nowhere/*,{self.directory}/*.log")
        subprocess.run([str(APPS / "log_files"), str(log), str(data)], env=env, check=True, timeout=60)
        again = ["reopened", "after a read", "by fdopen"]
        self.assertEqual([b"log 1", b"log 2", b"log 3", b"end", b"new log 1", b"new log 2", b"new log 3", b"end",
                          *(line.encode() for line in again)], agent.lines(FILE))
        self.assertEqual({(FILE, str(log)[-128:])}, {(piece.stream, piece.path) for piece in agent.pieces})
        self.assertEqual("data 1\ndata 2\ndata 3\nend\ndata 4\ndata 5\ndata 6\n", data.read_text())
        self.assertEqual("\n".join(["new log 1", "new log 2", "new log 3", "end", *again, ""]), log.read_text())

    def test_a_python_logger_s_file(self):
        agent = self.listen()
        path = self.directory / "python.log"
        program = f"import logging; logging.basicConfig(filename='{path}'); logging.error('to a file')"
        env = self.shimmed("none", SPANSHIM_LOG_FILES=f"{self.directory}/*.log")
        subprocess.run([PYTHON, "-c", program], env=env, check=True, timeout=60)
        self.assertEqual([b"ERROR:root:to a file"], agent.lines(FILE))
        self.assertEqual("ERROR:root:to a file\n", path.read_text())


class DaemonTest(CaptureTest):
    """Programs that leave their terminal."""

    def lines_of(self, way):
        """What is taken of one, up to its end: a line is taken behind the call that writes it."""
        agent = self.listen()
        path = self.directory / f"daemon.{way}"
        ended, lives = os.pipe()
        self.addCleanup(os.close, ended)
        with open(self.directory / "terminal", "wb") as terminal:
            subprocess.run([str(APPS / "log_daemon"), way, str(path)], env=self.shimmed(), stdout=terminal, stderr=terminal,
                           pass_fds=[lives], check=True, timeout=60)
        os.close(lives)
        self.assertEqual([ended], select.select([ended], [], [], PATIENCE_S)[0], "it goes on")
        return agent.lines(STDERR)

    def test_to_nowhere(self):
        self.assertEqual([b"starting", b"in the background", b"done"], self.lines_of("daemon"))

    def test_to_a_file_in_their_place(self):
        self.assertEqual([b"starting", b"in the background", b"done"], self.lines_of("hand"))

    def test_to_a_child_by_a_pipe(self):
        self.assertEqual([b"starting", b"in the background", b"done"], self.lines_of("pipe"))

    def test_data_on_their_numbers_is_no_log(self):
        self.assertEqual([b"starting"], self.lines_of("data"))


class RequestTest(CaptureTest):
    """Lines that are written while a request is current."""

    def test_a_line_has_its_request_s_trace(self):
        agent = self.listen()
        program = ("import http.server, sys\n"
                   "class Handler(http.server.BaseHTTPRequestHandler):\n"
                   "    def do_GET(self):\n"
                   "        print('serving', self.path, file=sys.stderr)\n"
                   "        self.send_response(204); self.end_headers()\n"
                   "    def log_message(self, *arguments): pass\n"
                   "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
                   "print('port', server.server_port, flush=True)\n"
                   "print('ready', file=sys.stderr)\n"
                   "server.serve_forever()\n")
        process = self.run_program([PYTHON, "-c", program], env=self.shimmed("stderr"))
        port = int(wait_until(lambda: process.out.split()[1:2], what="the server's port")[0])
        traffic = Traffic(port)
        traffic.once("GET", "/one")
        traffic.once("GET", "/two")
        wait_until(lambda: len(agent.lines(STDERR)) == 3, what="three lines")
        ids = [piece.trace_id for piece in agent.pieces]
        self.assertEqual(bytes(16), ids[0])
        self.assertNotIn(bytes(16), ids[1:])
        self.assertNotEqual(*ids[1:])

    def test_a_thread_of_a_pool_is_no_request_s(self):
        agent = self.listen()
        program = ("import http.server, signal, sys, threading\n"
                   "from concurrent.futures import ThreadPoolExecutor\n"
                   "pool, answered, over = ThreadPoolExecutor(1), threading.Event(), threading.Event()\n"
                   "def job(path):\n"
                   "    if path == '/two': answered.wait()\n"
                   "    print('job of', path, file=sys.stderr)\n"
                   "class Handler(http.server.BaseHTTPRequestHandler):\n"
                   "    def do_GET(self):\n"
                   "        pool.submit(job, self.path)\n"
                   "        if self.path == '/one': over.wait()\n"
                   "        self.send_response(204); self.end_headers()\n"
                   "    def log_message(self, *arguments): pass\n"
                   "signal.signal(signal.SIGUSR1, lambda *_: answered.set())\n"
                   "signal.signal(signal.SIGUSR2, lambda *_: over.set())\n"
                   "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n"
                   "print('port', server.server_port, flush=True)\n"
                   "server.serve_forever()\n")
        process = self.run_program([PYTHON, "-c", program], env=self.shimmed("stderr"))
        port = int(wait_until(lambda: process.out.split()[1:2], what="the server's port")[0])
        one = threading.Thread(target=Traffic(port).once, args=("GET", "/one"))
        one.start()
        wait_until(lambda: agent.lines(STDERR) == [b"job of /one"], what="the job of the first")
        Traffic(port).once("GET", "/two")
        process.popen.send_signal(signal.SIGUSR1)
        wait_until(lambda: len(agent.lines(STDERR)) == 2, what="the job of the second")
        process.popen.send_signal(signal.SIGUSR2)
        one.join()
        self.assertEqual([False, True], [piece.trace_id == bytes(16) for piece in agent.pieces])


def flood_line(thread, number):
    """A line of log_flood."""
    return f"{thread:02}{number:08}".ljust(99, "x")


class FloodTest(ShimTest):
    """Many lines, up to a receiver of OTLP."""

    def flood(self, lines, rate, threads=1):
        """Write them, and wait until the agent has no more of them. Lines exported, and lines dropped in the ring."""
        self.needs_spans()
        before = self.status()
        env = self.spanshim.env(OTEL_LOGS_EXPORTER="otlp", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="2048")
        command = [str(APPS / "log_flood"), str(lines), str(rate), str(threads)]
        subprocess.run(command, env=env, capture_output=True, check=True, timeout=60)
        wait_until(lambda: self.spanshim.flush() and sum(self.status()) - sum(before) >= lines, what="all lines")
        return tuple(after - old for after, old in zip(self.status(), before))

    def status(self):
        """Lines exported, and lines dropped in the ring."""
        status = self.spanshim.status()
        exporters = [exporter for row in status["destinations"] for exporter in row["exporters"]]
        return (sum(exporter["exported"] for exporter in exporters if exporter["name"] == "otlp_logs"),
                status["totals"]["dropped"]["log_lines"])

    def flood_loses_none(self):
        """The ring holds what comes in a third of a second: an agent that gets no processor for longer loses some."""
        self.sink.clear()
        exported, dropped = self.flood(10_000, 20_000)
        self.assertEqual(10_000, exported + dropped)
        return dropped == 0

    def test_none_is_lost_or_out_of_order(self):
        wait_until(self.flood_loses_none, what="a flood without loss")
        self.assertEqual([flood_line(0, number) for number in range(10_000)],
                         [record["body"] for record in self.sink.wait_for_logs(10_000)])

    def flood_at_full_rate(self, threads):
        """40,000 lines at 100,000/s: how many come depends on what else this machine does, and the others are counted. The
        records, after a look at their order: each comes once, whole, behind its thread's earlier ones."""
        self.sink.clear()
        exported, dropped = self.flood(40_000, 100_000, threads)
        self.assertEqual(40_000, exported + dropped)
        records = self.sink.wait_for_logs(exported)
        self.assertEqual(exported, len(records))
        for thread in range(threads):
            own = [record["body"] for record in records if record["body"].startswith(f"{thread:02}")]
            self.assertEqual(sorted(set(own)), own)
            self.assertLessEqual(set(own), {flood_line(thread, number) for number in range(40_000 // threads)})
        return records

    def test_order_at_100_000_in_a_second(self):
        records = self.flood_at_full_rate(threads=1)
        numbers = [int(record["body"][:10]) for record in records]
        behind_lost = [number for before, number in zip([-1, *numbers], numbers) if number != before + 1]
        self.assertEqual(behind_lost, [int(record["body"][:10]) for record in records
                                       if "spanshim.log.gap" in record["attributes"]])

    def test_order_of_four_threads(self):
        self.flood_at_full_rate(threads=4)

    def test_each_is_exported_or_counted(self):
        exported, dropped = self.flood(200_000, 0)
        self.assertEqual(200_000, exported + dropped)


class LineTest(ShimTest):
    """Lines of 16 threads, up to a receiver of OTLP."""

    def test_no_line_is_torn(self):
        self.needs_spans()
        env = self.spanshim.env(OTEL_LOGS_EXPORTER="otlp", SPANSHIM_LOGS="stdout,stderr")
        for way in ("printf", "stderr", "write", "pieces"):
            with self.subTest(way):
                self.sink.clear()
                subprocess.run([str(APPS / "log_threads"), way, "60"], env=env, capture_output=True, check=True, timeout=60)
                wait_until(lambda: self.spanshim.flush() and len(self.sink.logs) >= 16 * 60, what="all lines")
                bodies = [record["body"] for record in self.sink.logs]
                self.assertEqual({f"{thread:02}-{number:05}" for thread in range(16) for number in range(60)},
                                 {body[:8] for body in bodies})
                self.assertEqual([], [body for body in bodies if body[:8] != body[-8:] or set(body[9:-9]) - set("x")])
                self.assertEqual(16 * 60, len(bodies))


class OutputTest(test_transparency.OutputTest):
    """All programs that print what they saw, with their logs taken."""

    def setUp(self):
        super().setUp()
        self.spanshim.settings.update(OTEL_LOGS_EXPORTER="otlp", SPANSHIM_LOGS=ALL, SPANSHIM_LOG_FILES="/*")


if __name__ == "__main__":
    unittest.main(verbosity=2)
