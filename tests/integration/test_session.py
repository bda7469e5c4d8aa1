# SPDX-License-Identifier: Apache-2.0
"""`spanshim run` with the real agent and shim: traces on the terminal, sessions that don't meet, the whole thing run
from an installed prefix."""

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

from processes import wait_until

BUILD = Path(os.environ["SPANSHIM_BUILD"])

# A server and its only client in one: N requests to /NAME, answered by a handler that takes 5 ms. It waits for its handlers
# before it ends: the client may have its answer before the handler's next instruction, which records it.
PROGRAM = """
import http.server, sys, threading, time, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.005)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass

name, count = sys.argv[1], int(sys.argv[2])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = False
threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for n in range(count):
    opener.open(f"http://127.0.0.1:{server.server_port}/{name}/{n}?token=not-to-be-seen").read()
server.shutdown()
server.server_close()
print("done")
"""


def can_make_pid_namespace():
    return subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True, check=False).returncode == 0


class SessionTest(unittest.TestCase):
    launcher = BUILD / "bin" / "spanshim"

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="spanshim-session-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("OTEL_", "SPANSHIM_", "HONEYCOMB_", "ROLLBAR_", "LD_", "XDG_"))}
        self.env.update(PATH="/usr/bin:/bin:/usr/sbin:/sbin", HOME=str(self.folder), LC_ALL="C.UTF-8",
                        SPANSHIM_RUNTIME_DIR=str(self.folder / "run"), XDG_STATE_HOME=str(self.folder / "state"))
        self.addCleanup(self.spanshim, "stop")

    def spanshim(self, *args, **settings):
        return subprocess.run([self.launcher, *map(str, args)], env={**self.env, **settings}, capture_output=True,
                              text=True, timeout=60, check=False)

    def serve(self, name, count, **settings):
        return self.spanshim("run", "--", "/usr/bin/python3", "-c", PROGRAM, name, count, **settings)

    def test_requests_are_shown_on_standard_error(self):
        result = self.serve("orders", 3)
        self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
        self.assertEqual(sorted(re.findall(r"GET (/orders/\d)\?token=REDACTED", result.stderr)),
                         ["/orders/0", "/orders/1", "/orders/2"])
        self.assertNotIn("not-to-be-seen", result.stderr)
        self.assertNotIn("\x1b", result.stderr)
        self.assertEqual(len(re.findall(r"(?m)^  python3\.\d+  → GET 127\.0\.0\.1:\d+/orders/\d\?token=REDACTED  +200 .*\n"
                                        r"  python3\.\d+  └ GET /orders/\d\?token=REDACTED +200 ", result.stderr)), 3)

    def test_background_server_goes_on_on_the_terminal(self):
        master, terminal = os.openpty()
        self.addCleanup(os.close, master)
        script = f"{BUILD}/test-apps/httpd >port & echo $! >pid; until [ -s port ]; do sleep 0.01; done"
        result = subprocess.run([self.launcher, "run", "--", "sh", "-c", script], env=self.env, cwd=self.folder,
                                stdout=subprocess.DEVNULL, stderr=terminal, timeout=60, check=False)
        os.close(terminal)
        pid = int((self.folder / "pid").read_text())
        self.assertEqual(0, result.returncode)
        try:
            port = int((self.folder / "port").read_text().split()[1])
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{port}/size/7").read()
            shown = b""
            deadline = time.monotonic() + 60
            while b"/size/7" not in shown and time.monotonic() < deadline:
                shown += os.read(master, 65536) if select.select([master], [], [], 0.1)[0] else b""
        finally:
            os.kill(pid, signal.SIGKILL)
        self.assertIn(b"/size/7", shown)
        # Its end gives the terminal back: reading it ends.
        deadline = time.monotonic() + 60
        with self.assertRaises(OSError):
            while time.monotonic() < deadline:
                if select.select([master], [], [], 0.1)[0]:
                    os.read(master, 65536)

    def test_sessions_never_see_each_other(self):
        results = {}

        def run(name):
            results[name] = self.serve(name, 20)

        threads = [threading.Thread(target=run, args=(name,)) for name in ("left", "right", "middle")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, result in results.items():
            seen = re.findall(r"GET /(\w+)/(\d+)", result.stderr)
            self.assertEqual(sorted(int(number) for _, number in seen), list(range(20)), result.stderr)
            self.assertEqual({owner for owner, _ in seen}, {name})

    def test_command_substitution_is_complete_and_quick(self):
        self.spanshim("run", "--", "true")  # starts the agent
        wait_until(lambda: self.timed_true() < 1, what="a run that waits for nothing: such waits take a second and more")

    @unittest.skipUnless(can_make_pid_namespace(), "needs the right to make a pid namespace")
    def test_first_process_ends_with_its_program(self):
        """The agent is in the namespace too and ends with it; what it has to show is shown before."""
        argv = ["unshare", "-pf", "--mount-proc", self.launcher, "run", "--", "/usr/bin/python3", "-c", PROGRAM, "first", "2"]

        def is_quick():
            """Nothing is waited for that doesn't come. On a busy machine it may take a few attempts to see."""
            started = time.monotonic()
            result = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=60, check=False)
            took = time.monotonic() - started
            self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
            self.assertEqual(result.stderr.count("GET /first/"), 2)
            return took < 5

        wait_until(is_quick, what="a run that waits for nothing: such waits take 5 s and more")

    def timed_true(self):
        started = time.monotonic()
        result = subprocess.run(["sh", "-c", f'x=$({self.launcher} run -- true 2>&1); echo "[$x]"'], env=self.env,
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.stdout, result.stderr), ("[]\n", ""))
        return time.monotonic() - started

    def test_console_can_be_a_file(self):
        traces = self.folder / "traces"
        result = self.serve("filed", 2, SPANSHIM_CONSOLE=str(traces))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.spanshim("flush").returncode, 0)
        self.assertEqual(traces.read_text().count("GET /filed/"), 2)

    def test_status_counts_what_was_shown(self):
        self.serve("counted", 4)
        result = self.spanshim("status")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("destinations", result.stdout)
        self.assertIn("traced as", self.spanshim("log").stdout)

    def test_failed_delivery_is_the_status_of_flush(self):
        endpoint = "http://127.0.0.1:9"  # discard: nobody listens
        self.serve("lost", 1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        result = self.spanshim("flush")
        self.assertEqual(result.returncode, 1)
        self.assertIn("0 exported, 2 not", result.stderr)  # made and served

    def test_stop_ends_the_agent(self):
        self.spanshim("run", "--", "true")
        self.assertEqual(self.spanshim("stop").returncode, 0)
        self.assertEqual(self.spanshim("status").returncode, 1)


class PrefixTest(SessionTest):
    """The same from an installed prefix, which then moves."""

    @classmethod
    def setUpClass(cls):
        cls.staging = Path(tempfile.mkdtemp(prefix="spanshim-prefix-"))
        installed = cls.staging / "built"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", installed], check=True, stdout=subprocess.DEVNULL)
        cls.prefix = cls.staging / "moved"
        installed.rename(cls.prefix)
        cls.launcher = cls.prefix / "bin" / "spanshim"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.staging, ignore_errors=True)

    def test_everything_is_installed(self):
        names = {path.name for path in self.prefix.rglob("*") if path.is_file()}
        for name in ("spanshim", "spanshim-agent", "libspanshim.so", "spanshim.1", "spanshim.7", "spanshim-agent.8",
                     "spanshim.pc", "README.md", "LICENSE"):
            self.assertIn(name, names)
        self.assertFalse([name for name in names if ".new" in name or name.endswith(".a")])

    def test_library_and_pkg_config_agree(self):
        library = self.spanshim("lib").stdout.strip()
        self.assertTrue(Path(library).is_relative_to(self.prefix), library)
        pc = next(self.prefix.rglob("spanshim.pc"))
        found = subprocess.run(["pkg-config", "--variable=preload", "spanshim"], text=True, capture_output=True, check=True,
                               env={**self.env, "PKG_CONFIG_PATH": str(pc.parent)}).stdout.strip()
        self.assertEqual(os.path.realpath(found), os.path.realpath(library))

    def test_installing_again_leaves_running_programs_alone(self):
        """The object in use is replaced by rename, never written over."""
        library = Path(self.spanshim("lib").stdout.strip())
        before = library.stat().st_ino
        subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], check=True, stdout=subprocess.DEVNULL)
        self.assertNotEqual(library.stat().st_ino, before)


if __name__ == "__main__":
    unittest.main()
