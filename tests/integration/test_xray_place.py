# SPDX-License-Identifier: Apache-2.0
"""SPANSHIM_XRAY_PLUGINS: what segments say of where the program runs, and that nothing is asked that isn't named."""

import json
import unittest

import servers
from aws_sink import KEY, MetadataSink
from harness import BARE, ShimTest, Traffic
from processes import wait_until
from xray_daemon import XrayDaemon

FIELDS = [("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")]
DOCUMENT = {"accountId": "123456789012", "instanceId": "i-0abc", "instanceType": "t3.micro", "imageId": "ami-0def",
            "availabilityZone": "eu-west-1b", "region": "eu-west-1"}


@unittest.skipIf(BARE, "bare run")
class PlaceTest(ShimTest):
    """A server that sends segments, near a metadata service."""

    def setUp(self):
        super().setUp()
        self.daemon = XrayDaemon()
        self.addCleanup(self.daemon.close)
        self.metadata = MetadataSink(KEY)
        self.addCleanup(self.metadata.close)
        self.metadata.texts["/latest/dynamic/instance-identity/document"] = json.dumps(DOCUMENT)

    def segment(self, member=None, **settings):
        """The segment of a server's request; of the first one that has this member of "aws"."""
        env = self.spanshim.env(AWS_XRAY_DAEMON_ADDRESS=self.daemon.address, OTEL_BSP_SCHEDULE_DELAY=50,
                                AWS_EC2_METADATA_SERVICE_ENDPOINT=self.metadata.url, **settings)
        traffic = Traffic(servers.httpd(self, env=env)[1])

        def next_segment():
            before = len(self.daemon.segments())
            with traffic.connect() as connection:
                traffic.request(connection, "GET", "/", fields=FIELDS)
            self.daemon.wait_for(segments=before + 1)
            segment = self.daemon.segments()[-1]
            return segment if member is None or member in segment["aws"] else None

        segment = wait_until(next_segment, what=f"a segment with {member}")
        self.assertEqual([], self.daemon.violations + self.metadata.violations)
        segment["aws"].pop("xray")
        return segment

    def test_nothing_without_a_word(self):
        segment = self.segment(OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=shop-1")
        self.assertNotIn("origin", segment)
        self.assertEqual({}, segment["aws"])
        self.assertEqual([], self.metadata.requests)

    def test_pod(self):
        segment = self.segment(SPANSHIM_XRAY_PLUGINS="eks", K8S_POD_NAME="shop-1", KUBERNETES_SERVICE_HOST="10.0.0.1",
                               OTEL_RESOURCE_ATTRIBUTES="k8s.cluster.name=main,container.id=c1")
        self.assertEqual("AWS::EKS::Container", segment["origin"])
        self.assertEqual({"eks": {"pod": "shop-1", "cluster_name": "main", "container_id": "c1"}}, segment["aws"])
        self.assertEqual([], self.metadata.requests)

    def test_container_on_an_instance(self):
        segment = self.segment("ec2", SPANSHIM_XRAY_PLUGINS="ec2,ecs", OTEL_RESOURCE_ATTRIBUTES="container.id=c1,host.name=h1")
        self.assertEqual("AWS::ECS::Container", segment["origin"])
        self.assertEqual({"ecs": {"container": "h1", "container_id": "c1"},
                          "ec2": {"instance_id": "i-0abc", "instance_size": "t3.micro", "ami_id": "ami-0def",
                                  "availability_zone": "eu-west-1b"}}, segment["aws"])

    def test_instance_without_a_document(self):
        del self.metadata.texts["/latest/dynamic/instance-identity/document"]
        segment = self.segment(SPANSHIM_XRAY_PLUGINS="ec2")
        self.assertEqual(("AWS::EC2::Instance", {}), (segment["origin"], segment["aws"]))
        wait_until(lambda: "ec2: the metadata service answers 404" in self.spanshim.log(), what="a line in the agent's log")

    def test_beanstalk_without_its_file(self):
        segment = self.segment(SPANSHIM_XRAY_PLUGINS="elasticbeanstalk")
        self.assertEqual(("AWS::ElasticBeanstalk::Environment", {}), (segment["origin"], segment["aws"]))
        self.assertIn("environment.conf can't be read: No such file", self.spanshim.log())


if __name__ == "__main__":
    unittest.main()
