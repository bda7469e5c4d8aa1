# SPDX-License-Identifier: Apache-2.0
"""Objects that programs load: found, bound and refused as without the shim, but for the deep binding of PHP's extensions, which
would keep their traffic from being seen."""

import re
import shutil
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from harness import APPS, ShimTest

# What the probe's last line says when each object calls the function of its own, and when the first one's is called.
DEEP, USUAL = "the second calls: other\n", "the second calls: plugin\n"
SPAN_KIND_CLIENT = 3


class Callee(BaseHTTPRequestHandler):
    """Answers, and keeps the trace headers that it was sent."""

    contexts = []

    def do_GET(self):  # pylint: disable=invalid-name
        """With two bytes."""
        self.contexts.append(self.headers.get_all("traceparent", []))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Silence."""


class DeepBindingTest(ShimTest):
    def _run(self, argv, preload=True, **settings):
        result = subprocess.run([str(argument) for argument in argv], env=self.spanshim.env(preload=preload, **settings),
                                capture_output=True, text=True, timeout=60, check=False, cwd=self.directory)
        return result.returncode, result.stdout, result.stderr

    def _check_probe(self, name, last_line, **settings):
        """As bare, but perhaps for the last line."""
        status, out, err = self._run([APPS / name], preload=False)
        self.assertTrue(out.endswith(DEEP), out)
        expected = (status, out.removesuffix(DEEP) + last_line, err)
        self.assertEqual(expected, self._run([APPS / name], **settings))

    def test_others_stay_deep_bound(self):
        self._check_probe("dlopen_probe", DEEP)
        self._check_probe("dlopen_probe", DEEP, SPANSHIM_DEEPBIND="keep")
        self._check_probe("dlopen_probe", USUAL, SPANSHIM_DEEPBIND="drop")

    def test_what_php_loads_is_not(self):
        self._check_probe("dlopen_probe_php", USUAL)
        self._check_probe("dlopen_probe_php", USUAL, SPANSHIM_DEEPBIND="wrong")
        self._check_probe("dlopen_probe_php", DEEP, SPANSHIM_DEEPBIND="keep")
        self._check_probe("dlopen_probe_php", DEEP, SPANSHIM_DISABLED="1")

    def _bound_to_shim(self, argv, **settings):
        """The functions of ours that libcurl was bound to, all of it at once."""
        for path in self.directory.glob("bindings.*"):
            path.unlink()
        status, out, _ = self._run(argv, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=self.directory / "bindings", LD_BIND_NOW="1",
                                   **settings)
        self.assertEqual((0, True), (status, "\ncurl\n" in out), "php's curl extension (php-curl) is missing")
        found = set()
        for path in self.directory.glob("bindings.*"):
            found |= set(re.findall(r"libcurl\.so\S* \[\d+\] to \S*libspanshim\.so \[\d+\]: normal symbol `(\w+)'",
                                    path.read_text()))
        return found

    def test_php_curl_is_seen(self):
        for program in ("php", "php-fpm8.2"):
            with self.subTest(program):
                self.needs_programs(program)
                self.assertLessEqual({"socket", "connect", "send", "recv", "close"},
                                     self._bound_to_shim([shutil.which(program, path="/usr/sbin:/usr/bin"), "-m"]))
                self.assertEqual(set(), self._bound_to_shim([shutil.which(program, path="/usr/sbin:/usr/bin"), "-m"],
                                                            SPANSHIM_DEEPBIND="keep"))

    def test_php_curl_makes_client_spans(self):
        self.needs_programs("php")
        self.needs_spans()
        with HTTPServer(("127.0.0.1", 0), Callee) as callee:
            thread = threading.Thread(target=callee.serve_forever)
            thread.start()
            self.addCleanup(Callee.contexts.clear)
            script = f"echo curl_exec(curl_init('http://127.0.0.1:{callee.server_port}/x'));"
            for mode in ("keep", "auto"):
                self.assertEqual((0, "ok1", ""), self._run(["php", "-r", script], SPANSHIM_DEEPBIND=mode))
            callee.shutdown()
            thread.join()
        self.assertTrue(self.spanshim.flush())
        span, = (span for span in self.sink.spans if span["kind"] == SPAN_KIND_CLIENT)
        self.assertEqual([[], [f"00-{span['trace_id']}-{span['span_id']}-03"]], Callee.contexts)


if __name__ == "__main__":
    unittest.main(verbosity=2)
