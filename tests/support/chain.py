# SPDX-License-Identifier: Apache-2.0
"""Real programs that pass each request on to the next: started one by one, or as a chain of five with a relay between each
two. All but nginx pass on the target only, no header field."""

import shutil

import servers
from harness import APPS, PYTHON
from processes import children, free_port, wait_until
from relay import Relay

SCRIPTS = servers.SCRIPTS / "chain"
SERVICES = ("nginx", "flask", "node", "c", "last")


def nginx(test, behind, env=None):
    """nginx as a proxy; it passes on the fields as well. Returns the port, as all of these."""
    return servers.nginx(test, "proxy.conf", BEHIND=behind, env=env)[1]


def flask(test, behind, env=None, threads=4):
    """Flask under gunicorn's threads, asking by a session of requests."""
    port = free_port()
    env = {**(env or test.spanshim.env()), "NEXT": f"http://127.0.0.1:{behind}"}
    process = test.run_program([PYTHON, "/usr/bin/gunicorn", "-w", 1, "-k", "gthread", "--threads", threads,
                                "--keep-alive", 60, "-b", f"127.0.0.1:{port}", "--chdir", SCRIPTS, "app:app"], env=env)
    process.wait_listening(port)
    wait_until(lambda: children(process.pid), what="gunicorn's worker")
    return port


def node(test, behind, env=None, sockets=0):
    """Node's http module on both sides; `sockets` limits its connections, and requests queue for them."""
    return test.run_program([shutil.which("node"), SCRIPTS / "pass_on.js", behind, sockets], env=env).announced_port()


def c(test, behind, env=None):
    """Our C program, a thread per connection."""
    return test.run_program([APPS / "pass_on", behind], env=env).announced_port()


class Chain:
    """nginx -> Flask under gunicorn -> Node -> pass_on -> httpd, each a service of its own; `port` is nginx's. Where the wire
    is recorded, relays[name] stands in front of that service. Settings are those of all five."""

    def __init__(self, test, recorded=True, sockets=0, **settings):
        self._test = test
        self._settings = settings
        self.relays = {} if recorded else None
        port = servers.httpd(test, "--threads", env=self._env("last"))[1]
        port = c(test, self._in_front_of("last", port), self._env("c"))
        port = node(test, self._in_front_of("c", port), self._env("node"), sockets)
        port = flask(test, self._in_front_of("node", port), self._env("flask"), threads=32)
        self.port = nginx(test, self._in_front_of("flask", port), self._env("nginx"))

    def _env(self, name):
        return self._test.spanshim.env(OTEL_SERVICE_NAME=name, **self._settings)

    def _in_front_of(self, name, port):
        if self.relays is None:
            return port
        self.relays[name] = Relay(port)
        self._test.addCleanup(self.relays[name].close)
        return self.relays[name].port
