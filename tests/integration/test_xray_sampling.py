# SPDX-License-Identifier: Apache-2.0
"""Which requests X-Ray gets: by its own rules and quotas, by a user's file of rules, by the default; and what happens when
nobody can be asked for rules."""

import collections
import json
import math
import os
import signal
import time
import unittest

from harness import ShimTest
from http_client import Connection
from processes import PATIENCE_S, wait_until
from servers import httpd, nginx
from xray_daemon import XrayDaemon

# What users give to `aws xray create-sampling-rule --cli-input-json`, with another service's name.
REFERENCE = {"SamplingRule": {"RuleName": "Cruddur", "ResourceARN": "*", "Priority": 9000, "FixedRate": 0.1, "ReservoirSize": 5,
                              "ServiceName": "shop", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*",
                              "Version": 1}}
QUOTA = 20
PACE_S = 0.005  # between two requests: 200 in a second


def rule(name, **fields):
    """A central rule like the reference's."""
    return {**REFERENCE["SamplingRule"], "RuleName": name, "Attributes": {}, **fields}


class GrantingDaemon(XrayDaemon):
    """Divides a rule's quota between all who have reported, as X-Ray does: nginx's workers change their user, so each has a
    ring, and is a client, of its own."""

    def _answer_of(self, path, call):
        answer = super()._answer_of(path, call)
        clients = len({document["ClientID"] for document in self.statistics})
        for target in answer.get("SamplingTargetDocuments", []):
            target["ReservoirQuota"] //= clients
        return answer


class SamplingTest(ShimTest):
    """An agent, and programs whose segments go to a daemon of the test's own."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.daemon = self.new_daemon()

    def new_daemon(self, kind=XrayDaemon, **options):
        """A daemon that is closed with the test."""
        daemon = kind(**options)
        self.addCleanup(daemon.close)
        return daemon

    def env(self, daemon=None, **settings):
        """Of a program whose traces go to X-Ray alone."""
        settings = {"OTEL_TRACES_EXPORTER": None, "OTEL_EXPORTER_OTLP_ENDPOINT": None, "OTEL_SERVICE_NAME": "shop", **settings}
        return self.spanshim.env(AWS_XRAY_DAEMON_ADDRESS=(daemon or self.daemon).address, **settings)

    def sampling(self, process):
        """What status says of the sampling of a program; {} before the agent has it."""
        pids = {ring["pid"]: ring.get("xray_sampling", {}) for ring in self.spanshim.status()["rings"]}
        return pids.get(process.pid, {})

    def wait_for_rules(self, process, origin):
        """Until rules from there are in force."""
        return wait_until(lambda: (found := self.sampling(process)).get("from") == origin and found, what=f"rules from {origin}",
                          interval=0.05)

    def ask(self, port, *targets):
        """These requests, one by one."""
        traffic = Traffic(port)
        for target in targets:
            traffic.ask(target)
        traffic.close()
        return traffic

    def rules(self):
        """The rules of all clients that have requests, and how many rules each of them has."""
        found = [ring["xray_sampling"]["rules"] for ring in self.spanshim.status()["rings"] if "xray_sampling" in ring]
        return [(len(rules), one) for rules in found for one in rules if one["requests"]]

    def sampled(self):
        """How many requests all clients together have sampled."""
        return sum(one["sampled"] for _, one in self.rules())

    def segments(self, count):
        """The paths of the segments, and how often each has come, once there are so many of them: a client may have its answer
        before the server's next instruction, which records the request."""
        def all_came():
            self.assertTrue(self.spanshim.flush(), self.spanshim.log())
            self.daemon.settle()
            return len(self.daemon.segments()) >= count
        wait_until(all_came, what=f"{count} segments")
        self.assertEqual([], self.daemon.violations)
        return collections.Counter("/" + segment["http"]["request"]["url"].split("/", 3)[3] for segment in self.daemon.segments())


class Traffic:
    """Requests over four connections in turn, and when they were made."""

    def __init__(self, port):
        self.connections = [Connection(port) for _ in range(4)]
        self.times = []

    def ask(self, target="/short"):
        """One request."""
        self.times.append(time.clock_gettime(time.CLOCK_MONOTONIC))
        self.connections[len(self.times) % 4].request("GET", target)

    def run_while(self, condition):
        """At an even pace, as long as the condition (looked at now and then) holds."""
        start, first = time.monotonic(), len(self.times)
        end = start + PATIENCE_S
        while len(self.times) % 50 or condition():
            if time.monotonic() > end:
                raise TimeoutError(f"requests for {PATIENCE_S} s, and nothing came of them")
            self.ask()
            time.sleep(max(0, start + PACE_S * (len(self.times) - first) - time.monotonic()))

    def close(self):
        """Close the connections."""
        for connection in self.connections:
            connection.close()

    def expected(self, first, quota, end=math.inf):
        """How many of the requests from `first` on, before `end`, are within a quota of each second."""
        seconds = collections.Counter(math.floor(moment) for moment in self.times[first:] if moment < end)
        return sum(min(quota, count) for count in seconds.values())


class QuotaTest(SamplingTest):
    """X-Ray's own rules: a request of each second is borrowed, then a quota is granted."""

    def test_two_workers_converge_to_one_quota(self):
        """200 requests a second: one of a second before X-Ray has granted a quota; after the second report the quota and no
        more. When the rules have been changed they are loaded anew, and the quota stays."""
        self.daemon = daemon = self.new_daemon(GrantingDaemon)
        daemon.rules = [rule("quota", FixedRate=0.0)]
        daemon.targets = {"quota": {"FixedRate": 0.0, "ReservoirQuota": QUOTA, "ReservoirQuotaTTL": time.time() + 600,
                                    "Interval": 10}}
        daemon.last_rule_modification = 1e9
        process, port = nginx(self, workers=2, env=self.env())
        self.wait_for_rules(process, "xray")
        traffic = Traffic(port)
        traffic.run_while(lambda: not daemon.statistics)
        reports = list(daemon.statistics)
        clients = {report["ClientID"] for report in reports}
        borrowed = sum(report["BorrowCount"] for report in reports)
        self.assertEqual(borrowed, sum(report["SampledCount"] for report in reports))
        end = max(report["time"] for report in reports)
        self.assertAlmostEqual(len(clients) * traffic.expected(0, 1, end), borrowed, delta=2 * len(clients))

        daemon.rules.insert(0, rule("unused", Priority=1, URLPath="/unused"))
        daemon.last_rule_modification = time.time()
        traffic.run_while(lambda: len(self.reporting(2)) < len(clients))
        daemon.wait_for_calls("/GetSamplingRules", 2)
        wait_until(lambda: self.quota_in_force() == (2, QUOTA), what="the quota")
        before, first = self.sampled(), len(traffic.times)
        end = time.monotonic() + 3
        traffic.run_while(lambda: time.monotonic() < end)
        traffic.close()
        sampled = self.sampled()
        self.assertLessEqual(sampled - before, QUOTA * len({math.floor(moment) for moment in traffic.times[first:]}) + 2)
        # The first second's may have been taken before; on a busy machine one worker may have too little to do.
        self.assertGreaterEqual(sampled - before, 0.7 * (traffic.expected(first, QUOTA) - QUOTA))
        self.assertEqual({"/short": sampled}, self.segments(sampled))
        names = {segment["aws"]["xray"].get("sampling_rule_name") for segment in daemon.segments()}
        self.assertEqual({"quota"}, names)

    def reporting(self, times):
        """The clients that have reported at least so often."""
        counts = collections.Counter(report["ClientID"] for report in self.daemon.statistics)
        return {client for client, count in counts.items() if count >= times}

    def quota_in_force(self):
        """How many rules there are, and what has been granted to all clients together."""
        return max(count for count, _ in self.rules()), sum(one["reservoir"] for _, one in self.rules() if one["is_quota"])

    def test_rules_outlive_the_worker(self):
        """When the agent's worker is killed the rules stay in force, and the next worker goes on with them."""
        self.daemon.rules = [rule("all", FixedRate=1.0)]
        process, port = httpd(self, env=self.env())
        self.wait_for_rules(process, "xray")
        self.daemon.set_mode("slow", delay=2)
        worker = self.spanshim.worker_pid
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.spanshim.worker_pid != worker, what="the next worker")
        wait_until(lambda: self.spanshim.knows(process.pid), what="the program in its hands")
        self.ask(port, *["/size/1"] * 20)
        self.wait_for_rules(process, "xray")
        self.ask(port, *["/size/1"] * 20)
        self.assertEqual({"/size/1": 40}, self.segments(40))


class LocalRulesTest(SamplingTest):
    """Nobody answers by TCP: a user's rules decide, or the default."""

    def setUp(self):
        super().setUp()
        self.daemon.set_mode("refuse")

    def write(self, name, rules):
        """A file of rules."""
        path = self.directory / name
        path.write_text(rules if isinstance(rules, str) else json.dumps(rules))
        return path

    def test_files_of_all_forms(self):
        """Of the SDKs, version 1 and 2, and as the AWS CLI has them: all requests of one path, none of others."""
        pattern = {"http_method": "G?T", "url_path": "/size/*", "fixed_target": 0, "rate": 1}
        none = {"fixed_target": 0, "rate": 0}
        cli = [{"SamplingRule": rule("sizes", URLPath="/SIZE/*", FixedRate=1, ReservoirSize=0)},
               rule("rest", Priority=9999, FixedRate=0, ReservoirSize=0)]
        forms = {"v1.json": {"version": 1, "default": none, "rules": [{"service_name": "*", **pattern}]},
                 "v2.json": {"version": 2, "default": none, "rules": [{"host": "localhost*", **pattern}]},
                 "cli.json": {"SamplingRules": cli}, "list.json": cli}
        for number, (name, rules) in enumerate(forms.items()):
            with self.subTest(name):
                path = self.write(name, rules)
                process, port = httpd(self, env=self.env(SPANSHIM_XRAY_SAMPLING_RULES=path))
                self.wait_for_rules(process, "file")
                self.ask(port, *[f"/size/{number + 1}", "/status/200"] * 5)
                seen = self.segments(5 * (number + 1))
                self.assertEqual(5, seen[f"/size/{number + 1}"])
                self.assertEqual(0, seen["/status/200"])

    def test_processes_of_an_image_share_a_reservoir(self):
        """Four processes take three requests of a second together."""
        path = self.write("three.json", {"version": 2, "default": {"fixed_target": 3, "rate": 0}})
        process, port = httpd(self, "--fork", env=self.env(SPANSHIM_XRAY_SAMPLING_RULES=path))
        self.wait_for_rules(process, "file")
        traffic = Traffic(port)
        end = time.monotonic() + 2
        traffic.run_while(lambda: time.monotonic() < end)
        traffic.close()
        self.assertAlmostEqual(traffic.expected(0, 3), self.sampled(), delta=3)
        self.assertEqual({"/short": self.sampled()}, self.segments(self.sampled()))

    def test_a_bad_file_is_told_once(self):
        """One line names the file, the rule and the remedy; the default decides."""
        path = self.write("bad.json", {"version": 2, "default": {"fixed_target": 1, "rate": 0.1},
                                       "rules": [{"description": "moves", "host": "*", "http_method": "*", "url_path": "*",
                                                  "fixed_target": 1, "rate": -1}]})
        process, _ = httpd(self, env=self.env(SPANSHIM_XRAY_SAMPLING_RULES=path))
        self.wait_for_rules(process, "default")
        lines = [line for line in self.spanshim.log().splitlines() if str(path) in line]
        self.assertEqual(1, len(lines), lines)
        self.assertIn("rule 1 (moves): rate must be a number from 0 to 1", lines[0])
        complaints = [text for ring in self.spanshim.status()["rings"] for text in ring["complaints"]]
        self.assertEqual(1, len([text for text in complaints if str(path) in text]), complaints)

    def test_the_default_is_one_of_a_second_and_5_percent(self):
        """Nothing is known: the first request of each second, and 5 % of the others."""
        process, port = httpd(self, env=self.env())
        self.wait_for_rules(process, "default")
        traffic = self.ask(port, *["/size/1"] * 1000)
        sampled = self.sampled()
        self.assertEqual({"/size/1": sampled}, self.segments(sampled))
        self.assertGreaterEqual(sampled, traffic.expected(0, 1) + 15)  # 50 in the mean: 5 standard deviations
        self.assertLessEqual(sampled, traffic.expected(0, 1) + 85)
        self.assertEqual(1, self.spanshim.log().count("sampling rules can't be had from"))
        self.assertIn("shop", self.spanshim.command("status").stdout)


class OtherSamplerTest(SamplingTest):
    """OTEL_TRACES_SAMPLER and X-Ray's rules."""

    def test_a_sampler_that_is_set_rules_both(self):
        """Then nobody asks for rules; without it, each destination has its own decision."""
        self.daemon.rules = [rule("none", FixedRate=0.0, ReservoirSize=0)]
        also_otlp = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": self.spanshim.endpoint}
        process, port = httpd(self, env=self.env(OTEL_TRACES_SAMPLER="always_on", **also_otlp))
        self.ask(port, *["/size/1"] * 10)
        self.spans(10)
        self.assertEqual({"/size/1": 10}, self.segments(10))
        self.assertEqual({}, self.sampling(process))
        self.assertEqual([], self.daemon.requests)

        process, port = httpd(self, env=self.env(**also_otlp))
        self.wait_for_rules(process, "xray")
        self.ask(port, *["/size/2"] * 10)
        self.spans(20)
        self.assertEqual({"/size/1": 10}, self.segments(10))


class TroubleTest(SamplingTest):
    """A daemon that misbehaves: nothing waits for it, and there is one line about each."""

    def test_nothing_waits(self):
        """Slow, silent, busy, broken, or not there."""
        modes = {"slow": {"delay": 1}, "hang": {}, "429": {}, "503": {}, "garbage": {}, "close": {}, "refuse": {}}
        daemons = {mode: self.new_daemon(mode=mode, **options) for mode, options in modes.items()}
        servers = {mode: httpd(self, env=self.env(daemon)) for mode, daemon in daemons.items()}
        for _, port in servers.values():
            self.ask(port, *["/size/1"] * 20)
        self.wait_for_rules(servers.pop("slow")[0], "xray")
        for process, _ in servers.values():
            self.wait_for_rules(process, "default")
        for mode in servers.keys() - {"hang"}:
            line = f"sampling rules can't be had from {daemons[mode].address}"
            wait_until(lambda text=line: text in self.spanshim.log(), what=line)
            self.assertEqual(1, self.spanshim.log().count(line))
            self.assertEqual([], daemons[mode].violations)


if __name__ == "__main__":
    unittest.main(verbosity=2)
