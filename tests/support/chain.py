# SPDX-License-Identifier: Apache-2.0
"""Real programs that pass each request on to the next: started one by one, as a chain of five with a relay between each
two, or as one of seven and nginx once more. All but the proxies pass on the target only, no header field. Each request carries its
number in the target: so it is known which span belongs to which request, whatever the spans say."""

import collections
import dataclasses
import functools
import re
import shutil

import gateways
import servers
from harness import APPS, PYTHON, SPAN_KIND_SERVER, ShimTest, Traffic
from processes import children, free_port, wait_until
from relay import Relay

SCRIPTS = servers.SCRIPTS / "chain"
SERVICES = ("nginx", "flask", "node", "c", "last")
LONG_SERVICES = ("varnish", "nginx", "flask", "node", "tomcat", "front", "php", "last")  # front: PHP-FPM speaks no HTTP
SPAN_KIND_CLIENT = 3
PHP_WORKERS = 16
KINDS = {SPAN_KIND_SERVER: "server", SPAN_KIND_CLIENT: "client"}
FLAG_HAS_REMOTE, FLAG_REMOTE = 0x100, 0x200
TRACE_FIELDS = ("traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
                "x-b3-sampled", "x-b3-flags", "x-amzn-trace-id")


def nginx(test, behind, env=None):
    """nginx as a proxy; it passes on the fields as well. Returns the port, as all of these."""
    return servers.nginx(test, "proxy.conf", BEHIND=behind, env=env)[1]


def flask(test, behind, env=None, threads=4, application="app"):
    """Flask under gunicorn's threads, asking by a session of requests. xray_sdk_app is the same application with X-Ray's SDK."""
    port = free_port()
    env = {**(env or test.spanshim.env()), "NEXT": f"http://127.0.0.1:{behind}"}
    process = test.run_program([PYTHON, "/usr/bin/gunicorn", "-w", 1, "-k", "gthread", "--threads", threads,
                                "--keep-alive", 60, "-b", f"127.0.0.1:{port}", "--chdir", SCRIPTS, f"{application}:app"], env=env)
    process.wait_listening(port)
    wait_until(lambda: children(process.pid), what="gunicorn's worker")
    return port


def node(test, behind, env=None, sockets=0):
    """Node's http module on both sides; `sockets` limits its connections, and requests queue for them."""
    return test.run_program([shutil.which("node"), SCRIPTS / "pass_on.js", behind, sockets], env=env).announced_port()


def c(test, behind, env=None):
    """Our C program, a thread per connection."""
    return test.run_program([APPS / "pass_on", behind], env=env).announced_port()


def varnish(test, behind, env=None):
    """Varnish, without its cache."""
    port = free_port()
    config = servers.fill_in("causality/pass.vcl", test.directory / "pass.vcl", BEHIND=behind)
    test.run_program(servers.varnish(test.directory / "varnish", port, config), env=env).wait_listening(port)
    return port


def tomcat(test, behind, env=None):
    """A servlet that asks by HttpURLConnection."""
    port = free_port()
    argv, settings = servers.tomcat(test.directory / "tomcat", port, "causality/AskingServlet.java")
    servers.wait_for_tomcat(test.run_program(argv, env={**(env or test.spanshim.env()), **settings, "BEHIND": str(behind)}))
    return port


def php_fpm(test, behind, env=None):
    """PHP-FPM; a Behind, since it is asked by FastCGI."""
    program = gateways.php_fpm(test, {**(env or test.spanshim.env()), "BEHIND": str(behind)}, workers=PHP_WORKERS)
    return dataclasses.replace(program, script=servers.SCRIPTS / "causality" / "router.php")


def order_of(services):
    """Who calls whom: each span's parent is the one before it."""
    return [(name, kind) for name in services for kind in ("server", "client")][:-1]


ORDER = order_of(SERVICES)


class LongChain:
    """Varnish -> nginx -> Flask under gunicorn -> Node -> a servlet in Tomcat -> (nginx ->) PHP-FPM -> httpd, each a service of its
    own; `port` is Varnish's."""

    def __init__(self, test):
        self.port = servers.httpd(test, "--threads", env=test.spanshim.env(OTEL_SERVICE_NAME="last"))[1]
        for name, start in (("php", php_fpm), ("front", gateways.nginx), ("tomcat", tomcat), ("node", node),
                            ("flask", functools.partial(flask, threads=32)), ("nginx", nginx), ("varnish", varnish)):
            self.port = start(test, self.port, test.spanshim.env(OTEL_SERVICE_NAME=name))


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


def number_in(text):
    """A request's number, by its target."""
    return int(re.search(r"request=(\d+)", text).group(1))


def number_of(span):
    """The request that a span belongs to."""
    return number_in(span["attributes"].get("url.query") or span["attributes"]["url.full"])


def place_of(span):
    """Where in ORDER it belongs."""
    return span["resource"]["service.name"], KINDS[span["kind"]]


class ChainTest(ShimTest):
    """What all tests of the chain need."""

    order = ORDER

    def ask(self, port, numbers, fields=()):
        """Send the requests of these numbers over one connection."""
        with Traffic(port).connect() as connection:
            for number in numbers:
                response = connection.request("GET", f"/size/20?request={number}", fields=fields)
                self.assertEqual((200, b"x" * 20), (response.status, response.body))

    def spans_by_request(self, count):
        """All spans, by request and place: each place once."""
        self.spanshim.flush()
        try:
            self.sink.wait_for(count * len(self.order))
        except AssertionError as error:
            self.fail(f"{error}: {self._missing(count)}; {self.spanshim.status()['totals']}")
        self.spans()
        found = collections.defaultdict(dict)
        for span in self.sink.spans:
            spans = found[number_of(span)]
            self.assertNotIn(place_of(span), spans, f"request {number_of(span)}")
            spans[place_of(span)] = span
        self.assertEqual(count, len(found))
        for number, spans in found.items():
            self.assertEqual(set(self.order), set(spans), f"request {number}")
        return found

    def _missing(self, count):
        """The spans that have not come, by request and place."""
        wanted = collections.Counter({place: count for place in self.order})
        requests = collections.Counter(number_of(span) for span in self.sink.spans)
        return (wanted - collections.Counter(map(place_of, self.sink.spans)),
                {number: found for number, found in requests.items() if found != len(self.order)})

    def check_trace(self, spans, trace=None, parent_span_id=""):
        """The spans of one request are one trace, in order."""
        parent = {"trace_id": trace or spans[self.order[0]]["trace_id"], "span_id": parent_span_id, "start_time_unix_nano": 0}
        for service, kind in self.order:
            span = spans[service, kind]
            where = f"{kind} span of {service}: {span['attributes']}"
            self.assertEqual(parent["span_id"], span["parent_span_id"], where)
            self.assertEqual(parent["trace_id"], span["trace_id"], where)
            self.assertLessEqual(parent["start_time_unix_nano"], span["start_time_unix_nano"], where)
            self.assertEqual("GET", span["name"])
            self.assertEqual(200, span["attributes"]["http.response.status_code"], where)
            is_remote = kind == "server" and parent["span_id"] != ""
            self.assertEqual(FLAG_HAS_REMOTE | (FLAG_REMOTE if is_remote else 0), span["flags"] & ~0xff, where)
            parent = span

    def sent_to(self, relays, numbers):
        """What was on the wire in front of each service: request by number. Each came once, and but for their numbers and
        their trace fields all are the same."""
        found = {}
        for name, relay in relays.items():
            requests = relay.requests
            by_number = {number_in(request.target): request for request in requests}
            self.assertEqual(list(numbers), sorted(number_in(request.target) for request in requests), name)
            self.assertEqual(1, len({(re.sub(r"request=\d+", "", line), fields)
                                     for line, fields in (one.without(*TRACE_FIELDS) for one in requests)}), name)
            found[name] = by_number
        return found
