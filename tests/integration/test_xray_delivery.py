# SPDX-License-Identifier: Apache-2.0
"""What becomes of segments when X-Ray's daemon is absent, goes, comes back, is slow, or has an address that is none: the
program and other destinations don't notice, and nothing is lost that the queue can hold."""

import time
import unittest

import servers
from harness import BUILD, PYTHON, SPAN_KIND_CLIENT, Traffic
from processes import wait_until
from xray_daemon import XrayDaemon
from xray_test import XrayTest, w3c

DELAY_MS = "100"  # of a batch
# Asks what X-Ray's SDKs ask, and another server.
ASKS = """
import sys, urllib.request
for url in sys.argv[1:]:
    data = b"{}" if "GetSampling" in url else None
    urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})).read()
"""


class DeliveryTest(XrayTest):
    """One server, whose segments go to X-Ray and by OTLP."""

    def setUp(self):
        super().setUp()
        self.spanshim.settings.update(OTEL_BSP_SCHEDULE_DELAY=DELAY_MS, OTEL_SERVICE_NAME="shop")

    def serve(self, **settings):
        """A server that is traced; what asks it."""
        _, port = servers.httpd(self, env=self.spanshim.env(**settings))
        return Traffic(port)

    def ask(self, traffic, count=1):
        """So many requests; none may take long, whatever X-Ray's daemon does."""
        with traffic.connect() as connection:
            for _ in range(count):
                begun = time.monotonic()
                traffic.request(connection, "GET", "/size/5")
                self.assertLess(time.monotonic() - begun, 5)

    def exporter(self, name="xray"):
        """What the status says of a destination; {}: there is none."""
        for destinations in self.spanshim.status()["destinations"]:
            for exporter in destinations["exporters"]:
                if exporter["name"] == name:
                    return exporter
        return {}

    def wait_for_retry(self):
        """Until it has failed once."""
        return wait_until(lambda: self.exporter() if self.exporter().get("retries") else None, what="a retry")

    def log_lines(self, text):
        """The agent's lines with this in them."""
        return [line for line in self.spanshim.log().splitlines() if text in line]

    def check_nothing_is_lost(self, count):
        """All of them came, and are counted as that."""
        self.arrived(count)
        exporter = self.exporter()
        self.assertEqual((count, 0, 0), (exporter["exported"], exporter["queued"], sum(exporter["dropped"].values())))
        self.assertEqual(count, len(self.spans(count)), "by OTLP")


class AbsentTest(DeliveryTest):
    """Nobody listens, for some time."""

    def test_absent_at_first(self):
        self.daemon.stop()
        traffic = self.serve()
        self.ask(traffic, 20)
        exporter = self.wait_for_retry()
        self.assertEqual(f"udp {self.daemon.address}", exporter["target"])
        self.assertIn("nobody listens there", exporter["last_error"])
        self.sink.wait_for(20)  # OTLP goes on
        wait_until(lambda: self.exporter()["retries"] > 1, what="another retry")
        self.assertEqual(1, len(self.log_lines("nobody listens there")), "one line")
        self.ask(traffic, 5)
        self.daemon.start()
        self.daemon.wait_for(25)
        self.check_nothing_is_lost(25)
        self.assertEqual(1, len(self.log_lines("xray: accepted again")))

    def test_restarted_among_requests(self):
        traffic = self.serve()
        self.ask(traffic, 10)
        self.daemon.wait_for(10)
        self.daemon.stop()
        self.ask(traffic, 10)
        self.wait_for_retry()
        self.daemon.start()
        self.ask(traffic, 10)
        self.daemon.wait_for(30)
        self.check_nothing_is_lost(30)

    def test_waits_on_the_disk_for_another_agent(self):
        self.daemon.stop()
        self.ask(self.serve(), 10)
        self.wait_for_retry()
        wait_until(lambda: self.exporter()["spooled"] == 10, what="segments on the disk")
        self.spanshim.kill()
        self.spanshim.log_path.unlink()
        self.spanshim.start_agent()
        self.daemon.start()
        self.ask(self.serve(), 1)  # the same settings again
        self.arrived(11)


class SlowTest(DeliveryTest):
    """It listens, but doesn't read."""

    def setUp(self):
        super().setUp()
        self.daemon.close()
        self.daemon = XrayDaemon(receive_buffer=1)  # the smallest there is: one document
        self.addCleanup(self.daemon.close)
        self.spanshim.settings["AWS_XRAY_DAEMON_ADDRESS"] = self.daemon.address

    def test_small_buffer(self):
        self.ask(self.serve(), 200)
        self.daemon.wait_for(200)
        self.check_nothing_is_lost(200)

    def test_reads_nothing_for_some_time(self):
        traffic = self.serve()
        self.ask(traffic)
        self.daemon.wait_for(1)
        self.daemon.pause()
        self.ask(traffic, 50)
        self.assertIn("does not read", self.wait_for_retry()["last_error"])
        self.sink.wait_for(51)  # OTLP goes on
        self.daemon.resume()
        self.daemon.wait_for(51)
        self.check_nothing_is_lost(51)


class NamesTest(DeliveryTest):
    """A daemon that has a name."""

    def test_localhost(self):
        self.ask(self.serve(AWS_XRAY_DAEMON_ADDRESS=f"tcp:localhost:{self.daemon.port} udp:localhost:{self.daemon.port}"))
        self.arrived(1)
        self.assertEqual(f"udp localhost:{self.daemon.port}", self.exporter()["target"])

    def test_name_that_there_is_not(self):
        self.ask(self.serve(AWS_XRAY_DAEMON_ADDRESS="no-such-name.invalid:2000"))
        self.assertIn("udp no-such-name.invalid:2000: ", self.wait_for_retry()["last_error"])
        self.sink.wait_for(1)  # OTLP goes on


class SlowNamesTest(DeliveryTest):
    """The name server does not answer."""

    agent_settings = {"LD_PRELOAD": BUILD / "tests" / "libslow_names.so", "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def test_other_work_goes_on(self):
        traffic = self.serve(AWS_XRAY_DAEMON_ADDRESS="xray.example:2000")
        self.ask(traffic, 3)
        self.sink.wait_for(3)
        self.assertEqual("sending", wait_until(self.exporter, what="the destination")["state"])
        self.ask(traffic, 3)
        self.sink.wait_for(6)


class SettingsTest(DeliveryTest):
    """When traces go to X-Ray, and what is said where they can't."""

    def test_addresses_that_are_none(self):
        for address, problem in (("127.0.0.1", "has no port"), (f"tcp:127.0.0.1:{self.daemon.port}", "has no udp"),
                                 ("127.0.0.1:70000", "has a port that is no number in 1..65535"), ("http://127.0.0.1:2000", "has more than")):
            with self.subTest(address):
                before = len(self.sink.spans)
                self.ask(self.serve(AWS_XRAY_DAEMON_ADDRESS=address))
                self.sink.wait_for(before + 1)
                line, = self.log_lines(f'AWS_XRAY_DAEMON_ADDRESS: "{address}" {problem}')
                self.assertIn("it should be host:port, or tcp:host:port udp:host:port; xray is left out", line)
        self.assertEqual({}, self.exporter())

    def test_switched_off(self):
        for off in ("false", "OFF", "0"):
            self.ask(self.serve(AWS_XRAY_SDK_ENABLED=off))
        self.assertEqual(3, len(self.spans(3)))
        self.assertEqual({}, self.exporter())
        self.assertEqual(0, self.daemon.datagram_count)

    def test_the_address_alone_is_enough(self):
        self.ask(self.serve(OTEL_EXPORTER_OTLP_ENDPOINT=None, OTEL_TRACES_EXPORTER=None, OTEL_TRACES_SAMPLER=None))
        self.arrived(1)
        self.assertEqual({}, self.exporter("otlp"))

    def test_asked_for_by_name(self):
        for names in ({"OTEL_TRACES_EXPORTER": "otlp, XRay"}, {"SPANSHIM_EXPORTERS": "xray"}):
            with self.subTest(names):
                self.daemon.clear()
                self.ask(self.serve(**names))
                self.arrived(1)

    def test_the_same_ids_as_by_otlp(self):
        self.ask(self.serve(), 20)
        segments, _ = self.arrived(20)
        spans = self.spans(20)
        self.assertEqual({(span["trace_id"], span["span_id"]) for span in spans},
                         {(w3c(segment["trace_id"]), segment["id"]) for segment in segments})

    def test_the_programs_own_traffic_to_the_daemon_makes_no_spans(self):
        _, port = servers.httpd(self, env=self.spanshim.base_env())
        program = self.run_program([PYTHON, "-c", ASKS, f"http://{self.daemon.address}/GetSamplingRules",
                                    f"http://127.0.0.1:{port}/size/5"])
        self.assertEqual(0, program.wait())
        span, = self.spans(1, kind=SPAN_KIND_CLIENT)
        self.assertEqual(port, span["attributes"]["server.port"])


if __name__ == "__main__":
    unittest.main()
