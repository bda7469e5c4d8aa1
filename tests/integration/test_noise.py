# SPDX-License-Identifier: Apache-2.0
"""What keeps spans few: rules for what is ignored, a limit per second, routes that make names few, headers by pattern. The
servers are none of ours where that is all the same."""

import unittest

import servers
from harness import BARE, ShimTest, Traffic, dropped_spans
from processes import wait_until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class NoiseTest(ShimTest):
    """A server with settings of the test's own."""

    def setUp(self):
        super().setUp()
        self.needs_spans()

    def serve(self, server=servers.httpd, **settings):
        """A server under these settings; what makes requests to it."""
        return Traffic(server(self, env=self.spanshim.env(**settings))[1])

    def paths(self, count):
        """The paths of all spans, in the order of their start."""
        spans = sorted(self.spans(count), key=lambda span: span["start_time_unix_nano"])
        self.assertEqual(count, len(spans))
        return [span["attributes"]["url.path"] for span in spans]

    def counts(self, **expected):
        """What `spanshim status` has counted."""
        status = self.spanshim.status()
        self.assertEqual(expected, {name: status["totals"]["counts"][name] for name in expected})
        return status

    def complaints(self, variable):
        """The lines of the agent's log that name a variable, once there is one."""
        lines = lambda: [line for line in self.spanshim.log().splitlines() if variable in line]
        wait_until(lines, what=f"a complaint about {variable}")
        return lines()


@unittest.skipIf(BARE, "bare run")
class IgnoreTest(NoiseTest):
    """SPANSHIM_IGNORE_PATHS, SPANSHIM_IGNORE_USER_AGENTS"""

    def test_paths(self):
        traffic = self.serve(servers.nginx, SPANSHIM_IGNORE_PATHS="/healthz, /1?,*.css")
        with traffic.connect() as connection:
            for target in ("/healthz", "/1k", "/100k", "/a/b.css?x=y", "/healthz?full", "/healthz/", "/empty"):
                traffic.request(connection, "GET", target)
        self.assertEqual(["/100k", "/healthz/", "/empty"], self.paths(3))
        self.assertEqual(0, dropped_spans(self.counts(requests=7, ignored=4, unsampled=0, taken=3)))
        self.assertRegex(self.spanshim.command("status").stdout,
                         r"SERVED +MADE +WITH HEADER +UNSAMPLED +IGNORED.*\n +7 +0 +0 +0 +4 +3 ")

    def test_user_agents(self):
        traffic = self.serve(SPANSHIM_IGNORE_USER_AGENTS="kube-probe/*,ELB-HealthChecker/*")
        for agent in ("kube-probe/1.29", "elb-healthchecker/2.0", "curl/8.5.0", "x kube-probe/1.29"):
            traffic.once("GET", "/size/1", fields=[("User-Agent", agent)])
        traffic.once("GET", "/size/2")
        self.assertEqual(["/size/1", "/size/1", "/size/2"], self.paths(3))
        self.counts(requests=5, ignored=2)

    def test_wins_over_a_caller_that_records(self):
        traffic = self.serve(SPANSHIM_IGNORE_PATHS="/size/1")
        for target in ("/size/1", "/size/2"):
            traffic.once("GET", target, fields=[("traceparent", PARENT)])
        self.assertEqual(["/size/2"], self.paths(1))
        self.counts(requests=2, ignored=1)

    def test_a_death_while_ignored_is_no_span(self):
        process, port = servers.httpd(self, env=self.spanshim.env(SPANSHIM_IGNORE_PATHS="/delay/*"))
        traffic = Traffic(port)
        traffic.once("GET", "/size/1")
        with traffic.connect() as connection:
            connection.send(b"GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.wait_for_requests(2)
            process.kill()
        wait_until(lambda: not self.spanshim.status()["processes"], what="the agent has seen the death")
        self.assertEqual(["/size/1"], self.paths(1))
        self.counts(abandoned=0, ignored=1)

    def test_complaints(self):
        self.serve(SPANSHIM_IGNORE_PATHS="healthz").once("GET", "/size/1")
        line, = self.complaints("SPANSHIM_IGNORE_PATHS")
        self.assertIn('"healthz" should be patterns like /healthz or /static/*', line)
        many = ",".join(f"agent-{i}" for i in range(65))
        self.serve(SPANSHIM_IGNORE_USER_AGENTS=many).once("GET", "/size/1", fields=[("User-Agent", "agent-64")])
        line, = self.complaints("SPANSHIM_IGNORE_USER_AGENTS")
        self.assertIn("at most 64", line)
        self.paths(2)

    def test_empty_is_unset(self):
        traffic = self.serve(SPANSHIM_IGNORE_PATHS="", SPANSHIM_IGNORE_USER_AGENTS=" , ",
                             SPANSHIM_MAX_SPANS_PER_SECOND="", SPANSHIM_ROUTES="", SPANSHIM_REQUEST_HEADERS="")
        traffic.once("GET", "/size/1")
        self.check_spans(traffic.exchanges)
        self.assertNotIn("SPANSHIM_", self.spanshim.log())


@unittest.skipIf(BARE, "bare run")
class RateTest(NoiseTest):
    """SPANSHIM_MAX_SPANS_PER_SECOND"""

    def accounted(self):
        """Spans that the agent has taken, and those that the limit has left out."""
        totals = self.spanshim.status()["totals"]
        return totals["counts"]["taken"] + totals["dropped"]["rate_limited"]

    def test_what_is_above_the_limit_is_counted(self):
        traffic = self.serve(SPANSHIM_MAX_SPANS_PER_SECOND=1)
        with traffic.connect() as connection:
            for _ in range(200):
                traffic.request(connection, "GET", "/size/1")
        wait_until(lambda: self.accounted() == 200, what="200 requests, taken or counted")
        spans = len(self.spans())
        status = self.counts(requests=200, taken=spans, unsampled=0, ignored=0)
        self.assertEqual(200 - spans, status["totals"]["dropped"]["rate_limited"])
        self.assertLess(0, spans)
        self.assertLess(spans, 100, "one a second, however slow the machine is")
        self.assertRegex(self.spanshim.command("status").stdout, rf" {200 - spans} +rate_limited +more spans in a second")

    def test_each_process_has_its_own(self):
        _, port = servers.httpd(self, "--fork", env=self.spanshim.env(SPANSHIM_MAX_SPANS_PER_SECOND=2))
        traffic = Traffic(port)
        for _ in range(6):  # a process each, and each has two at once
            with traffic.connect() as connection:
                traffic.request(connection, "GET", "/size/1")
                traffic.request(connection, "GET", "/size/2")
        self.assertEqual(["/size/1", "/size/2"] * 6, self.paths(12))
        self.assertEqual(0, dropped_spans(self.spanshim.status()))

    def test_complaints(self):
        for bad in ("many", "-1", "1000001", "10/s"):
            with self.subTest(bad):
                before = len(self.spanshim.log())
                self.serve(SPANSHIM_MAX_SPANS_PER_SECOND=bad).once("GET", "/size/1")
                wait_until(lambda: "MAX_SPANS" in self.spanshim.log()[before:], what="the complaint")
                line, = [line for line in self.spanshim.log()[before:].splitlines() if "MAX_SPANS" in line]
                self.assertIn(f'"{bad}" is no number in 0..1000000; 0 is used', line)
        self.paths(4)


@unittest.skipIf(BARE, "bare run")
class RouteTest(NoiseTest):
    """SPANSHIM_ROUTES"""

    def names(self, traffic, *targets, earlier=0):
        """Request these targets: the name of each span, by path; so many spans more came before."""
        for target in targets:
            traffic.once("GET", target)
        spans = self.spans(earlier + len(targets))
        self.assertEqual(earlier + len(targets), len(spans))
        for span in spans:
            self.check_form(span)
        return {span["attributes"]["url.path"]: span["name"] for span in spans}

    def test_name_and_attribute(self):
        traffic = self.serve(SPANSHIM_ROUTES="/{kind}/{n},/size/*,/size/{n},/si%7Ae/me,/delay/{path...}")
        names = self.names(traffic, "/size/1", "/siz%65/2?x=y", "/size/me", "/size/1/2", "/chunked/1", "/delay/", "/none")
        self.assertEqual({"/size/1": "GET /size/{n}", "/siz%65/2": "GET /size/{n}", "/size/me": "GET /si%7Ae/me",
                          "/size/1/2": "GET /size/*", "/chunked/1": "GET /{kind}/{n}", "/delay/": "GET /delay/{path...}",
                          "/none": "GET"}, names)
        self.assertEqual({"/size/{n}"}, {span["attributes"]["http.route"] for span in self.sink.spans
                                         if span["name"] == "GET /size/{n}"})
        self.assertEqual([None], [span["attributes"].get("http.route") for span in self.sink.spans if span["name"] == "GET"])

    def test_each_program_has_its_own(self):
        """One agent, one destination, two programs."""
        self.serve(SPANSHIM_ROUTES="/size/{a}").once("GET", "/size/1")
        names = self.names(self.serve(SPANSHIM_ROUTES="/size/{b}"), "/size/2", earlier=1)
        self.assertEqual({"/size/1": "GET /size/{a}", "/size/2": "GET /size/{b}"}, names)

    def test_complaints(self):
        traffic = self.serve(SPANSHIM_ROUTES="size/{n},/size/{n},/a/{...}")
        self.assertEqual({"/size/1": "GET /size/{n}"}, self.names(traffic, "/size/1"))
        first, second = self.complaints("SPANSHIM_ROUTES")
        self.assertIn('"size/{n}" should be patterns like /users/{id}', first)
        self.assertIn('"/a/{...}" should be patterns like /users/{id}', second)


@unittest.skipIf(BARE, "bare run")
class HeaderTest(NoiseTest):
    """SPANSHIM_REQUEST_HEADERS, SPANSHIM_RESPONSE_HEADERS as patterns; the secrets are test_secrets.py's."""

    def headers(self, prefix):
        span, = self.spans(1)
        return {name[len(prefix):]: value for name, value in span["attributes"].items() if name.startswith(prefix)}

    def test_request(self):
        traffic = self.serve(SPANSHIM_REQUEST_HEADERS="x-*,Accept")
        fields = [("X-One", "1"), ("x-two", "a"), ("X-Two", "b"), ("Accept", "*/*"), ("Accept-Language", "de")]
        traffic.once("GET", "/size/1", fields=fields)
        self.assertEqual({"x-one": ["1"], "x-two": ["a", "b"], "accept": ["*/*"]}, self.headers("http.request.header."))

    def test_response(self):
        traffic = self.serve(servers.nginx, SPANSHIM_RESPONSE_HEADERS="content-*,serv?r")
        traffic.once("GET", "/1k")
        self.assertEqual({"content-type", "content-length", "server"}, set(self.headers("http.response.header.")))

    def test_all_of_a_large_head(self):
        """What has no room is left out; what tells the request apart is not."""
        traffic = self.serve(SPANSHIM_REQUEST_HEADERS="*")
        fields = [(f"X-{i}", "v" * 100) for i in range(40)]
        fields += [("User-Agent", "a-browser"), ("traceparent", PARENT), ("tracestate", "a=1")]
        traffic.once("GET", "/size/1", fields=fields)
        captured = self.headers("http.request.header.")
        self.assertIn("x-0", captured)
        self.assertNotIn("x-39", captured)
        span, = self.sink.spans
        self.assertEqual("a-browser", span["attributes"]["user_agent.original"])
        self.assertEqual("a=1", span["trace_state"])

    def test_user(self):
        traffic = self.serve(SPANSHIM_USER_HEADER="x-user-id")
        traffic.once("GET", "/size/1", fields=[("X-User-Id", "u-7"), ("X-User-Id", "u-8"), ("X-User", "9")])
        span, = self.spans(1)
        self.assertEqual("u-7", span["attributes"]["user.id"])
        self.assertFalse([name for name in span["attributes"] if name.startswith("http.request.header.")])

    def test_clients_address_stays_hidden(self):
        traffic = self.serve(SPANSHIM_REQUEST_HEADERS="*", SPANSHIM_CLIENT_IP="none")
        address = "198.51.100.77"
        fields = [("X-Forwarded-For", address), ("Forwarded", f"for={address}"), ("X-Real-IP", address), ("X-A", "1")]
        traffic.once("GET", "/size/1", fields=fields)
        self.assertEqual(["1"], self.headers("http.request.header.")["x-a"])
        self.assertNotIn(address, repr(self.sink.spans))


if __name__ == "__main__":
    unittest.main(verbosity=2)
