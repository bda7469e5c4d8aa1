# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a private agent with a receiver that takes everything, and the forms of one program: bare,
under an empty preload, under one that only forwards, and under the shim. Only ratios from one run mean anything."""

import http.server
import os
import shutil
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

PASSTHROUGH = BUILD / "bench" / "libpassthrough.so"
EMPTY = BUILD / "bench" / "libempty.so"


class Swallow(http.server.BaseHTTPRequestHandler):
    """An OTLP receiver that accepts whatever comes, unread."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Take the body, answer that all is well."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Quiet."""


class Workbench:
    """A folder, a receiver and an agent; ends what it started."""

    def __init__(self):
        processes.adopt_orphans()
        self.started = []
        self.directory = Path(tempfile.mkdtemp(prefix="spanshim-bench."))
        self.directory.chmod(0o755)
        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Swallow)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
        self.spanshim = Spanshim(self.directory, f"http://127.0.0.1:{self.receiver.server_address[1]}")

    def __enter__(self):
        self.spanshim.start_agent()
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.kill()
        self.spanshim.stop()
        processes.end_orphans()
        self.receiver.shutdown()
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
