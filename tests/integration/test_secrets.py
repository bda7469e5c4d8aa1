# SPDX-License-Identifier: Apache-2.0
"""Secrets of requests never leave the server's own memory: not by ring, agent, log, span, status or argument. Secrets of the
configuration are in the agent's memory and in its requests' heads, and nowhere else."""

import re
import unittest
from pathlib import Path

import processes
import servers
from aws_sink import AwsSink
from cloudwatch_sink import CloudWatchSink
from harness import BARE, ShimTest, Traffic
from http_client import request_bytes
from processes import wait_until

# Each marker stands where a secret would; all differ, so that a find names its origin.
QUERY = ("token", "api_key", "password", "X-Amz-Signature", "sig", "access_token", "Secret", "AWSAccessKeyId")
HEADERS = ("Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Honeycomb-Team", "X-Csrf-Token")
CREDENTIALS = ("Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "Set-Cookie", "X-Api-Key", "X-Auth-Request",
               "X-Access-Token", "X-Vault-Token", "X-Client-Secret", "X-Amz-Security-Token", "X-Csrf-Token",
               "X-Hub-Signature-256", "X-Password", "X-Session-Id", "X-Goog-Iap-Jwt-Assertion")
CONFIGURED = "configured-secret-3f9d"
AWS_KEY = ("AKIDHUSHHUSHHUSHHUSH", "hush-aws-secret-7c1e5a", "hush-aws-token-7c1e5a")


def marker(name):
    """A value that occurs nowhere else."""
    return "hush-" + re.sub(r"\W", "", name).lower() + "-7c1e5a"


def memory_maps(pid, wanted):
    """(start, end, name) of readable mappings whose name matches."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        name = fields[5] if len(fields) > 5 else ""
        if fields[1].startswith("r") and re.search(wanted, name) and name not in ("[vvar]", "[vsyscall]"):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            yield start, end, name


def memory_contains(pid, needles, wanted=""):
    """Which of the needles are in a process's memory, and where."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name in memory_maps(pid, wanted):
            position, tail = start, b""
            while position < end:
                try:
                    memory.seek(position)
                    block = memory.read(min(1 << 20, end - position))
                except OSError:
                    break  # not backed: a mapping beyond its file's end
                if not block:
                    break
                position += len(block)
                text = tail + block
                found += [(needle, name or "anonymous") for needle in needles if needle.encode() in text]
                tail = text[-100:]
    return found


@unittest.skipIf(BARE, "bare run")
class SecretsTest(ShimTest):
    """Requests full of secrets; then a look into everything."""

    def _env(self):
        return self.spanshim.env(OTEL_EXPORTER_OTLP_HEADERS=f"x-honeycomb-team={CONFIGURED}", SPANSHIM_LOG_LEVEL="debug")

    @staticmethod
    def _request(path, method="GET", userinfo=""):
        query = "&".join(f"{name}={marker('q-' + name)}" for name in QUERY) + "&page=2"
        fields = [(name, f"Bearer {marker('h-' + name)}") for name in HEADERS]
        fields.append(("Referer", f"http://user:{marker('referer')}@shop/cart?token={marker('referer-query')}"))
        target = f"{path}?{query}"
        if userinfo:
            target = f"http://user:{userinfo}@localhost{target}"
        return request_bytes(method, target, b"body=" + marker("body").encode() if method == "POST" else None, fields)

    def _secrets(self):
        return [marker("q-" + name) for name in QUERY] + [marker("h-" + name) for name in HEADERS] + \
            [marker("userinfo"), marker("body"), marker("referer"), marker("referer-query")]

    def _converse(self, traffic):
        """Requests that end, and one that stays open: its slot is in the ring."""
        with traffic.connect() as connection:
            for method in ("GET", "POST", "HEAD"):
                connection.send(self._request("/size/10", method))
                self.assertEqual(200, connection.read_response(method).status)
            whole = self._request("/size/10")
            for start in range(0, len(whole), 11):
                connection.send(whole[start:start + 11])
                connection.wait_until_read()
            connection.read_response()
            connection.send(self._request("/size/10", userinfo=marker("userinfo")))
            connection.read_response()
        waiting = traffic.connect()
        waiting.send(self._request("/delay/30000"))
        return waiting

    def test_requests(self):
        process, port = servers.httpd(self, "--threads", env=self._env())
        waiting = self._converse(Traffic(port))
        self.wait_for_requests(6)
        self.spans(5)
        secrets = self._secrets()

        pids = {"keeper": self.spanshim.agent.pid, "worker": self.spanshim.worker_pid}
        for name, pid in pids.items():
            self.assertEqual([], memory_contains(pid, secrets), name)
        # In the server itself its own buffers hold them; what it shares must not. The search must be able to find.
        self.assertTrue(memory_contains(process.pid, [marker("q-token")]))
        self.assertTrue(list(memory_maps(process.pid, "memfd:")), "the ring is mapped")
        self.assertEqual([], memory_contains(process.pid, secrets, "memfd:"))
        self._look_everywhere_else(pids, secrets + [CONFIGURED])
        self.assertIn("page=2", self.sink.spans[0]["attributes"]["url.query"])
        waiting.close()

    def test_request_lines(self):
        """Nor are they in a request's line among the logs, in any form, whatever headers the user asks for."""
        logs = CloudWatchSink()
        self.addCleanup(logs.close)
        for form in ("line", "combined", "json"):
            env = self.spanshim.env(**logs.env("/hush"), SPANSHIM_REQUEST_LINES=form, SPANSHIM_REQUEST_HEADERS="*", SPANSHIM_LOGS="none",
                                    SPANSHIM_USER_HEADER="X-User", OTEL_BLRP_SCHEDULE_DELAY=50)
            _, port = servers.httpd(self, "--threads", env=env)
            count = len(logs.events)
            self._converse(Traffic(port)).close()
            messages = "\n".join(event["message"] for event in logs.wait_for(count + 5)[count:])
            self.assertEqual([], [secret for secret in self._secrets() if secret in messages], form)
            self.assertIn("token=REDACTED", messages)
            self.assertIn("page=2", messages)

    def _look_everywhere_else(self, pids, secrets):
        places = {"log": self.spanshim.log(), "spans": repr(self.sink.spans), "status": repr(self.spanshim.status()),
                  "status for people": self.spanshim.command("status").stdout}
        for name, pid in pids.items():
            places[f"{name}'s arguments"] = processes.command_line(pid)
            places[f"{name}'s environment"] = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        for path in [*self.spanshim.runtime.rglob("*"), *self.spanshim.state.rglob("*")]:
            if path.is_file():
                places[str(path)] = path.read_bytes().decode(errors="replace")
        for place, text in places.items():
            self.assertEqual([], [secret for secret in secrets if secret in text], place)

    def test_configured_secret_in_a_failure(self):
        """The receiver refuses: what is logged and shown names the header, not its value."""
        self.sink.set_mode("401")
        _, port = servers.httpd(self, env=self._env())
        Traffic(port).once("GET", "/size/1")
        self.spanshim.flush()
        wait_until(lambda: "401" in self.spanshim.log(), what="the log names the failure")
        self._look_everywhere_else({"worker": self.spanshim.worker_pid}, [CONFIGURED])

    def test_credentials_of_aws_stay_where_nothing_is_signed(self):
        """The daemon of X-Ray has its own: the program's don't even reach the agent."""
        env = self.spanshim.env(AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{processes.free_port()}", AWS_ACCESS_KEY_ID=AWS_KEY[0],
                                AWS_SECRET_ACCESS_KEY=AWS_KEY[1], AWS_SESSION_TOKEN=AWS_KEY[2])
        _, port = servers.httpd(self, env=env)
        Traffic(port).once("GET", "/size/1")
        self.wait_for_requests(1)
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            self.assertEqual([], memory_contains(pid, AWS_KEY))

    def test_credentials_of_aws_in_a_failure(self):
        """The service refuses them, and segments wait on the disk."""
        aws = AwsSink()
        self.addCleanup(aws.close)
        _, port = servers.httpd(self, env=self.spanshim.env(**aws.env(AWS_KEY), SPANSHIM_LOG_LEVEL="debug"))
        Traffic(port).once("GET", "/size/1")
        self.spanshim.flush()
        wait_until(lambda: "UnrecognizedClientException" in self.spanshim.log(), what="the log names the failure")
        self.assertTrue(memory_contains(self.spanshim.worker_pid, AWS_KEY[1:2]), "the search can find")
        wait_until(lambda: [path for path in self.spanshim.state.rglob("*") if path.is_file()], what="something waits on the disk")
        self._look_everywhere_else({"worker": self.spanshim.worker_pid}, AWS_KEY[1:])

    def test_captured_headers_leave_secrets_out(self):
        """Neither by their names nor by patterns."""
        fields = [(name, marker("h-" + name)) for name in CREDENTIALS]
        for names in (",".join(CREDENTIALS) + ",x-wanted", "*", "x-*,*auth*,*key,*token*,cookie?,c*"):
            with self.subTest(names):
                self.sink.clear()
                env = self.spanshim.env(SPANSHIM_REQUEST_HEADERS=names, SPANSHIM_RESPONSE_HEADERS=names)
                process, port = servers.httpd(self, env=env)
                Traffic(port).once("GET", "/size/1", fields=fields + [("X-Wanted", "seen")])
                span, = self.spans(1)
                self.assertEqual(["seen"], span["attributes"].get("http.request.header.x-wanted"))
                self.assertEqual([], [name for name in CREDENTIALS if marker("h-" + name) in repr(span)])
                secrets = [marker("h-" + name) for name in CREDENTIALS]
                self.assertEqual([], memory_contains(process.pid, secrets, "memfd:"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
