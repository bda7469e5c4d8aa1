# SPDX-License-Identifier: Apache-2.0
"""What describes a process in its spans: found out by the agent, for each process of a server."""

import os
import platform
import re
import signal
import subprocess
import unittest
from datetime import datetime, timezone
from pathlib import Path

import servers
from harness import PYTHON, ShimTest, Traffic
from processes import children, wait_until

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

# Serves one request for each connection, after it became another user, for which it waits.
DROPS_ROOT = """
import http.server, os, sys
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
sys.stdin.readline()
os.setgid(65534); os.setuid(65534)
print("port", server.server_port, flush=True)
server.serve_forever()
"""


class ResourceTest(ShimTest):
    def resource(self, **settings):
        """The resource of our C server under these settings, and its process."""
        server, port = servers.httpd(self, env=self.spanshim.env(**settings))
        Traffic(port).once("GET", "/")
        return self.spans(1)[-1]["resource"], server

    def test_attributes(self):
        self.needs_spans()
        resource, server = self.resource()
        self.assertEqual("httpd", resource["service.name"])
        self.assertRegex(resource["service.instance.id"], f"^{UUID}$")
        self.assertEqual(("spanshim", "spanshim"), (resource["telemetry.sdk.name"], resource["telemetry.distro.name"]))
        self.assertEqual((server.pid, os.getpid()), (resource["process.pid"], resource["process.parent_pid"]))
        self.assertEqual("httpd", resource["process.executable.name"])
        self.assertEqual(resource["process.executable.path"], os.readlink(f"/proc/{server.pid}/exe"))
        self.assertEqual(resource["process.owner"], subprocess.check_output(["id", "-un"], text=True).strip())
        self.assertNotIn("process.command_args", resource)
        self.assertEqual(platform.node(), resource["host.name"])
        self.assertEqual({"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine()), resource["host.arch"])
        self.assertEqual("linux", resource["os.type"])
        release = platform.freedesktop_os_release()
        self.assertEqual((release["NAME"], release["PRETTY_NAME"]), (resource["os.name"], resource["os.description"]))

    def test_creation_time_is_the_kernels(self):
        self.needs_spans()
        resource, server = self.resource()
        created = datetime.strptime(resource["process.creation.time"], "%Y-%m-%dT%H:%M:%S.%fZ")
        ticks = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        expected = boot + ticks / os.sysconf("SC_CLK_TCK")
        self.assertAlmostEqual(expected, created.replace(tzinfo=timezone.utc).timestamp(), delta=2)

    def test_the_user_wins(self):
        self.needs_spans()
        resource, _ = self.resource(OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine,process.owner=me,host.id=h,"
                                    "service.version=1.2,service.namespace=shop,deployment.environment.name=test")
        self.assertEqual(("mine", "me", "h", "1.2", "shop", "test"), tuple(resource[name] for name in (
            "service.instance.id", "process.owner", "host.id", "service.version", "service.namespace",
            "deployment.environment.name")))

    def test_detectors_are_chosen(self):
        self.needs_spans()
        resource, _ = self.resource(SPANSHIM_RESOURCE_DETECTORS="os", OTEL_RESOURCE_ATTRIBUTES="a=b")
        self.assertEqual({"service", "telemetry", "os", "a"}, {name.partition(".")[0] for name in resource})

    def test_arguments_are_told_when_asked_for(self):
        self.needs_spans()
        resource, server = self.resource(SPANSHIM_COMMAND_ARGS="true")
        arguments = Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")[:-1]
        self.assertEqual(arguments, resource["process.command_args"])

    def test_a_pod_is_described_by_its_variables(self):
        self.needs_spans()
        resource, _ = self.resource(KUBERNETES_SERVICE_HOST="10.0.0.1", K8S_POD_NAME="shop-1", POD_NAMESPACE="shop",
                                    OTEL_RESOURCE_ATTRIBUTES_NODE_NAME="n1", K8S_POD_UID="u")
        self.assertEqual(("shop-1", "shop", "n1", "u"), tuple(resource[name] for name in (
            "k8s.pod.name", "k8s.namespace.name", "k8s.node.name", "k8s.pod.uid")))

    def test_a_runtime_is_named(self):
        self.needs_spans()
        _, port = servers.http_server(self)
        Traffic(port).once("GET", "/1k")
        resource = self.spans(1)[0]["resource"]
        self.assertEqual("cpython", resource["process.runtime.name"])
        self.assertEqual(re.search(r"[\d.]+$", os.path.realpath(PYTHON)).group(), resource["process.runtime.version"])

    def test_each_process_of_a_server_is_an_instance(self):
        """An id for each worker, the same for all its requests."""
        self.needs_spans()
        server, port = servers.gunicorn(self, workers=2)

        def both_served():
            for _ in range(8):
                Traffic(port).once("GET", "/")
            self.spanshim.flush()
            return len({span["resource"]["process.pid"] for span in self.spans()}) == 2

        wait_until(both_served, what="a request at each worker")
        by_pid = {}
        for span in self.spans():
            by_pid.setdefault(span["resource"]["process.pid"], set()).add(span["resource"]["service.instance.id"])
        self.assertEqual(set(children(server.pid)), set(by_pid))
        self.assertEqual([1, 1], [len(ids) for ids in by_pid.values()])
        self.assertEqual(2, len(set.union(*by_pid.values())))
        self.assertEqual({server.pid}, {span["resource"]["process.parent_pid"] for span in self.spans()})


class TotalsTest(ShimTest):
    """What `spanshim status` adds up, when the worker that counted it is gone."""

    def totals(self):
        return self.spanshim.status()["totals"]

    def restart_worker(self, sign):
        before = self.spanshim.worker_pid
        os.kill(before, sign)
        wait_until(lambda: before not in children(self.spanshim.agent.pid) and self.spanshim.worker_pid != before,
                   what="another worker")

    def test_totals_outlive_the_worker(self):
        """Of a ring that is there and of one that was."""
        self.needs_spans()
        gone, port = servers.httpd(self)
        Traffic(port).once("GET", "/")
        gone.kill()
        wait_until(lambda: not self.spanshim.status()["rings"], what="its end")
        _, port = servers.httpd(self)
        for _ in range(3):
            Traffic(port).once("GET", "/")
        self.spans(4)
        before = self.totals()
        counts = before["counts"]
        # Killed right after its answer, the first may have left its request open.
        self.assertEqual((4, 4), (counts["requests"], counts["taken"] + counts["abandoned"]))
        os.kill(self.spanshim.worker_pid, signal.SIGKILL)
        self.assertEqual(before, self.totals(), "the next worker answers, before it has looked into the ring")

    def test_a_worker_that_is_ended_blames_no_idle_ring(self):
        self.needs_spans()
        _, port = servers.httpd(self)
        is_asleep = lambda: any(ring["asleep"] for ring in self.spanshim.status()["rings"])
        wait_until(is_asleep, what="sleep")
        for _ in range(4):
            self.restart_worker(signal.SIGSEGV)
            wait_until(is_asleep, what="sleep")
        Traffic(port).once("GET", "/")
        self.assertEqual(1, len(self.spans(1)))
        self.assertEqual(0, self.totals()["given_up_rings"])


@unittest.skipIf(os.geteuid(), "only root can become another user")
class OwnerTest(ShimTest):
    """The owner is whoever served, not who started it."""

    def test_workers_of_nginx(self):
        self.needs_spans()
        _, port = servers.nginx(self, user="www-data")
        Traffic(port).once("GET", "/1k")
        self.assertEqual("www-data", self.spans(1)[0]["resource"]["process.owner"])

    def test_a_server_that_gives_up_root(self):
        self.needs_spans()
        server = self.run_program([PYTHON, "-c", DROPS_ROOT], stdin=subprocess.PIPE)
        self.addCleanup(server.popen.stdin.close)
        wait_until(lambda: self.spanshim.knows(server.pid), what="the agent to know it, as root's")
        server.popen.stdin.write(b"\n")
        server.popen.stdin.flush()
        Traffic(server.announced_port()).once("GET", "/")
        self.assertEqual("nobody", self.spans(1)[0]["resource"]["process.owner"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
