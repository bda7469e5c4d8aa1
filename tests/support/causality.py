# SPDX-License-Identifier: Apache-2.0
"""Whose request caused an outgoing one, counted. Each request has a path of its own, for which the program under test asks
the server behind it: so it is known which request a client's span belongs to. Its parent is that request (right), another
one (wrong) or none (orphan). The programs are in causality_programs.py."""

import dataclasses
import re
import time

from harness import APPS, SPAN_KIND_CLIENT, SPAN_KIND_SERVER
from http_client import Connection
from processes import PATIENCE_S, free_port, wait_until


@dataclasses.dataclass
class Count:
    """What became of the outgoing requests: how many have the right parent, none, a wrong one; those whose span is missing; and
    how many of those without a parent do not say why."""

    right: int = 0
    orphan: int = 0
    wrong: int = 0
    missing: int = 0
    silent: int = 0

    @property
    def total(self):
        """All of them."""
        return self.right + self.orphan + self.wrong + self.missing

    def __add__(self, other):
        return Count(*(mine + its for mine, its in zip(dataclasses.astuple(self), dataclasses.astuple(other))))

    def __str__(self):
        missing = f", {self.missing} missing" if self.missing else ""
        return f"{self.right} right, {self.orphan} orphans, {self.wrong} wrong{missing}"


class Stage:
    """A program under the shim, started between clients and the server behind it. `host` is a test or a benchmark: it starts
    programs and has an agent (`spanshim`), a receiver (`sink`) and a folder."""

    def __init__(self, host, program):
        self.host = host
        self.program = program
        self.directory = host.directory
        self.port = free_port()
        self.runs = 0
        self._behind = host.run_program([APPS / "behind"], env=self.bare())
        self.behind = self._behind.announced_port()
        self.process = None
        program.start(self)
        wait_until(self._answers, what=f"{program.name} answers")

    def bare(self):
        """The environment of a program without the shim."""
        return self.host.spanshim.env(preload=False)

    def env(self, **settings):
        """The environment of the program under test, which asks the server at BEHIND."""
        return self.host.spanshim.env(BEHIND=self.behind, **settings)

    def run(self, *argv, **settings):
        """Start the program under test, which listens on `port`."""
        self.process = self.host.run_program(argv, env=self.env(**settings))

    def run_bare(self, *argv, **options):
        """Start a program that it needs and that is not looked at."""
        return self.host.run_program(argv, env=self.bare(), **options)

    def _answers(self):
        if self.process and self.process.popen.poll() is not None:
            raise RuntimeError(f"{self.program.name} ended: {self.process.err.decode()}")
        try:
            with Connection(self.port) as connection:
                return connection.request("GET", "/warm-up").status == 200
        except (OSError, EOFError):
            return False

    def measure(self, clients, requests, *options):
        """Make so many requests, so many at once, and count. Options are those of the load generator."""
        self.runs += 1
        prefix = f"/{self.runs}-{clients}-"
        self.host.sink.clear()
        each = -(-requests // clients)
        load = self.host.run_program([APPS / "load", "--requests", each, *options, self.port, clients, 0, f"{prefix}@"],
                                     env=self.bare(), name="load")
        if load.wait(timeout=600) != 0:
            raise RuntimeError(f"{self.program.name}: {load.err.decode()}")
        return self._count(re.compile(rf"{prefix}\d+-\d+$"), each * clients)

    def strange(self):
        """Requests that reached the server behind without exactly one good trace header, but for the first ones."""
        return [line for line in self._behind.out.decode().splitlines() if line.startswith("strange") and "warm-up" not in line]

    def count_own(self):
        """Requests that the program has made of its own accord, for /own/N: how many there were, and how many have a parent."""
        own = [span for span, _ in self._paths(re.compile("/own/"), SPAN_KIND_CLIENT)]
        return len(own), sum(bool(span["parent_span_id"]) for span in own)

    def _count(self, path, requests):
        """Wait for the spans of requests for such paths, and judge those of outgoing ones."""
        want = {SPAN_KIND_SERVER: requests * self.program.hops, SPAN_KIND_CLIENT: requests * self.program.calls}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.host.spanshim.flush()
            found = {kind: self._paths(path, kind) for kind in want}
            if all(len(found[kind]) >= want[kind] for kind in want) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        served = {span["span_id"]: where for span, where in found[SPAN_KIND_SERVER]}
        count = Count(missing=max(0, want[SPAN_KIND_CLIENT] - len(found[SPAN_KIND_CLIENT])))
        for span, where in found[SPAN_KIND_CLIENT]:
            if not span["parent_span_id"]:
                count.orphan += 1
                count.silent += span["attributes"].get("spanshim.parent") not in ("ambiguous", "unknown")
            elif served.get(span["parent_span_id"]) == where:
                count.right += 1
            else:
                count.wrong += 1
        return count

    def _paths(self, path, kind):
        """The spans of that kind, each with the path that it is about."""
        attribute = "url.path" if kind == SPAN_KIND_SERVER else "url.full"
        found = ((span, path.search(span["attributes"][attribute])) for span in list(self.host.sink.spans) if span["kind"] == kind)
        return [(span, match[0]) for span, match in found if match]
