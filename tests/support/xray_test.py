# SPDX-License-Identifier: Apache-2.0
"""What tests of X-Ray share: the daemon's stand-in beside the agent and the OTLP receiver, and what has come to it."""

from harness import ShimTest
from xray_daemon import XrayDaemon

TRACE = "1-5759e988-bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"


def w3c(trace_id):
    """X-Ray's spelling of a trace id as W3C's."""
    return trace_id[2:].replace("-", "")


class XrayTest(ShimTest):
    """Programs send to X-Ray and by OTLP, every request of theirs."""

    def setUp(self):
        self.needs_spans()
        self.daemon = XrayDaemon()
        self.addCleanup(self.daemon.close)
        super().setUp()
        self.spanshim.settings.update(AWS_XRAY_DAEMON_ADDRESS=self.daemon.address, OTEL_TRACES_SAMPLER="parentbased_always_on")

    def arrived(self, segments, subsegments=0):
        """The segments and the subsegments (as Nodes) once there are so many: no more, no fewer, all as they should be."""
        self.assertTrue(self.spanshim.flush(), f"flush failed; agent's log:\n{self.spanshim.log()}")
        try:
            self.daemon.wait_for(segments, subsegments)
        except AssertionError as error:
            self.fail(f"{error}\nagent's log:\n{self.spanshim.log()}")
        self.daemon.settle()
        self.assertEqual([], self.daemon.violations)
        found = self.daemon.segments(), self.daemon.subsegments()
        self.assertEqual((segments, subsegments), tuple(map(len, found)))
        return found

    def segment(self, subsegments=0):
        """The only segment, with so many subsegments."""
        (segment,), _ = self.arrived(1, subsegments)
        return segment
