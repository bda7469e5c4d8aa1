# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a core of its own for what is measured, a private agent with a receiver that takes everything, and the forms of one program: bare,
under an empty preload, under one that only forwards, and under the shim. Only ratios from one run mean anything."""

import contextlib
import http.server
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests" / "support"))


def newest_build():
    """SPANSHIM_BUILD, or the release build where there is one."""
    if "SPANSHIM_BUILD" in os.environ:
        return Path(os.environ["SPANSHIM_BUILD"])
    for name in ("release", "dev"):
        if (SOURCE / "build" / name / "bin" / "libspanshim.so").exists():
            return SOURCE / "build" / name
    sys.exit("bench: no build found; run: cmake --preset release && cmake --build --preset release")


os.environ["SPANSHIM_BUILD"] = str(newest_build())
import processes  # noqa: E402  pylint: disable=wrong-import-position
from harness import APPS, BUILD, LIBRARY, Spanshim  # noqa: E402  pylint: disable=wrong-import-position

CORES = sorted(os.sched_getaffinity(0))
PASSTHROUGH = BUILD / "bench" / "libpassthrough.so"
EMPTY = BUILD / "bench" / "libempty.so"


def leave_first_core():
    """This process, and what it starts from now on, stays off the first core, where there is another."""
    os.sched_setaffinity(0, CORES[1:] or CORES)


@contextlib.contextmanager
def own_core():
    """What is started within runs on the first core, alone if leave_first_core() was called."""
    os.sched_setaffinity(0, CORES[:1])
    try:
        yield
    finally:
        leave_first_core()


class Swallow(http.server.BaseHTTPRequestHandler):
    """An OTLP receiver that accepts whatever comes, unread."""

    protocol_version = "HTTP/1.1"

    def take(self, body):
        """What else is done with a request's body: nothing."""

    def do_POST(self):
        """Take the body, answer that all is well."""
        self.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Quiet."""


class Receiver:
    """Listens; each request is for the handler."""

    def __init__(self, handler=Swallow):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Stop."""
        self._server.shutdown()


class Workbench:
    """A folder, a receiver (`sink`) and an agent; ends what it started."""

    def __init__(self, sink=None):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # then, too, nothing stays behind
        processes.adopt_orphans()
        self.started = []
        self.directory = Path(tempfile.mkdtemp(prefix="spanshim-bench."))
        self.directory.chmod(0o755)
        self.sink = sink or Receiver()
        self.spanshim = Spanshim(self.directory, f"http://127.0.0.1:{self.sink.port}")

    def __enter__(self):
        self.spanshim.start_agent()
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.kill()
        self.spanshim.stop()
        processes.end_orphans()
        self.sink.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run_program(self, argv, env=None, **options):
        """Start a program that ends with the bench (as the tests' harness does, for its servers)."""
        process = processes.Process([str(argument) for argument in argv], self.directory, env or self.env("bare"),
                                    **options)
        self.started.append(process)
        return process

    def env(self, form):
        """The environment for one form: bare, empty, passthrough, spanshim."""
        env = self.spanshim.env(preload=False)
        library = {"bare": None, "empty": EMPTY, "passthrough": PASSTHROUGH, "spanshim": LIBRARY}[form]
        if library:
            env["LD_PRELOAD"] = str(library)
        return env

    def agent_cpu_ns(self):
        """Processor time of the agent's worker so far."""
        return processes.cpu_nanoseconds(self.spanshim.worker_pid)


def report(name, value, unit="", goal=None):
    """One line per result: name, value, and whether a goal (at most) is met."""
    verdict = "" if goal is None else f"   goal <= {goal:g}{unit}: {'met' if value <= goal else 'MISSED'}"
    print(f"{name:<52}{value:>12.4g}{unit}{verdict}", flush=True)


def median(values):
    """The median."""
    return statistics.median(values)
