# SPDX-License-Identifier: Apache-2.0
"""Each setting with a good, a bad and an empty value: what is in force, and what the user is told, where."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import APPS, LAUNCHER, ShimTest, Traffic

# By type: a value that makes sense, and one that doesn't (None: any does). A good one that depends on the row's range is
# its last word or number.
TYPES = {
    "BOOLEAN": ("TRUE", "maybe"),
    "INTEGER": (None, "many"),
    "LIMIT": ("7", "-1"),
    "DURATION": (None, "7s"),
    "TIMEOUT": ("0", "1.5"),
    "CHOICE": (None, "nonsense"),
    "LIST": (None, "nonsense"),
    "NAME": ("some name", None),
    "TEXT": ("some text", None),
    "PATH": ("/some/path", None),
    "URL": ("https://user:geheim@host:1/path?geheim", "host:1"),
    "ENDPOINT": ("https://user:geheim@host:1/path?geheim", "ftp://host"),
    "PAIRS": ("a=1,b=%20", "a=1,b"),
    "SECRET": ("geheim", None),
    "SECRET_PAIRS": ("a=geheim", "geheim"),
    "RATIO": ("0.5", "2"),
    "HEADER": ("X-Some-Id", "authorization"),
    "GLOBS": ("*x?", ",".join(["*"] * 65)),
    "ROUTES": ("/users/{id}", "users"),
}
# What a setting needs beside it to be looked at.
BESIDE = {"OTEL_TRACES_SAMPLER_ARG": {"OTEL_TRACES_SAMPLER": "traceidratio"}}
# Good ones where not any of the type will do.
GOOD = {"AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000", "SPANSHIM_CLOUDWATCH_LOG_GROUP": "/shop/backend"}
# One line each, whatever they are set to.
NEVER_GOOD = {"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"}


def values_of(row):
    """A good and a bad value for a row of `spanshim settings --json`."""
    good, bad = TYPES[row["type"]]
    return GOOD.get(row["name"]) or good or row["range"].replace("..", "|").split("|")[-1], bad


class SettingsTest(unittest.TestCase):
    """The command, for every row of both lists."""

    def settings(self, **variables):
        """What `spanshim settings --json` says in an environment of just these variables."""
        env = {"SPANSHIM_SYSTEM_ENV": "none", **variables}
        result = subprocess.run([str(LAUNCHER), "settings", "--json"], env=env, capture_output=True, text=True, timeout=60,
                                check=False)
        answer = json.loads(result.stdout)
        self.assertEqual(1 if answer["problems"] else 0, result.returncode)
        return {row["name"]: row for row in answer["settings"]}, answer["problems"]

    def check(self, row, value, expected, source, problem_count):
        """The row's value in force, its source, and how many lines the user gets."""
        name = row["name"]
        rows, problems = self.settings(**BESIDE.get(name, {}), **{name: value})
        self.assertEqual((expected, source), (rows[name]["value"], rows[name]["from"]), f"{name}={value}")
        self.assertEqual(problem_count, len(problems), problems)
        for problem in problems:
            self.assertTrue(problem.startswith(name), problem)
            self.assertNotIn("geheim", problem)
            self.assertNotIn("\n", problem)

    def test_every_row_good_bad_and_empty(self):
        rows, problems = self.settings()
        self.assertEqual([], problems)
        self.assertGreater(len(rows), 60)
        for row in rows.values():
            good, bad = values_of(row)
            is_secret = row["type"].startswith("SECRET")
            shown = "set" if is_secret else good.replace("user:geheim@", "").replace("?geheim", "")
            with self.subTest(row["name"]):
                self.check(row, good, shown, "environment", int(row["name"] in NEVER_GOOD))
                self.check(row, "", row["default"], "default", int(row["name"] == "HONEYCOMB_API_KEY"))
                if row["type"] in ("GLOBS", "ROUTES"):  # what is right among them is used
                    self.check(row, bad, bad, "environment", 1)
                elif bad is not None:
                    self.check(row, bad, "false" if row["type"] == "BOOLEAN" else row["default"], "default", 1)

    def test_other_signals_and_other_programs_are_left_alone(self):
        _, problems = self.settings(OTEL_METRICS_EXPORTER="nonsense", OTEL_METRIC_EXPORT_INTERVAL="x",
                                    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="x",
                                    OTEL_NODE_RESOURCE_DETECTORS="x")
        self.assertEqual([], problems)

    def test_layers(self):
        with tempfile.TemporaryDirectory(prefix="spanshim-test.") as folder:
            file, system = Path(folder, "file"), Path(folder, "system")
            file.write_text("OTEL_SERVICE_NAME=file\nOTEL_BSP_SCHEDULE_DELAY=2\nSPANSHIM_QUERY=keep\n")
            system.write_text("OTEL_SERVICE_NAME=system\nOTEL_BSP_SCHEDULE_DELAY=3\nSPANSHIM_QUERY=drop\nNO_COLOR=1\n")
            env = {"SPANSHIM_SYSTEM_ENV": str(system), "OTEL_SERVICE_NAME": "environment", "SPANSHIM_QUERY": ""}
            result = subprocess.run([str(LAUNCHER), "settings", "--env-file", str(file), "--json"], env=env,
                                    capture_output=True, text=True, timeout=60, check=False)
        rows = {row["name"]: (row["value"], row["from"]) for row in json.loads(result.stdout)["settings"]}
        self.assertEqual(("environment", "environment"), rows["OTEL_SERVICE_NAME"])
        self.assertEqual(("2", "--env-file"), rows["OTEL_BSP_SCHEDULE_DELAY"])
        self.assertEqual(("redact", "default"), rows["SPANSHIM_QUERY"])  # empty wins, and is unset
        self.assertEqual(("1", "system"), rows["NO_COLOR"])


# Of both halves: a value, and the line about it.
WRONG = {
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("0", 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0" is no number in 1..2147483647; 512 is used'),
    "OTEL_SDK_DISABLED": ("1", 'OTEL_SDK_DISABLED: "1" is not one of true|false; false is used'),
    "OTEL_CONFIG_FILE": ("/x.yaml", "OTEL_CONFIG_FILE: not supported; the environment is used"),
    "SPANSHIM_QUERY": ("hide", 'SPANSHIM_QUERY: "hide" is not one of redact|drop|keep; redact is used'),
    "SPANSHIM_QEURY": ("drop", "SPANSHIM_QEURY is no setting and ignored; did you mean SPANSHIM_QUERY?"),
}
WRONG_VALUES = {name: value for name, (value, _) in WRONG.items()}
LINES = sorted(line for _, line in WRONG.values())


class ServedTest(ShimTest):
    """A server under settings, and what is said about them."""

    def logged(self):
        """What the agent's log says about settings, without time and process."""
        lines = self.spanshim.log().splitlines()
        return sorted(line.partition("): ")[2] for line in lines if " warn " in line and "): " in line)

    def complaints(self):
        """What status says."""
        return sorted(line for ring in self.spanshim.status()["rings"] for line in ring["complaints"])

    def serve(self, launcher=False, **settings):
        """One request to a server under these settings; the server."""
        command = [LAUNCHER, "run", "--"] if launcher else []
        server = self.run_program([*command, APPS / "httpd"], env=self.spanshim.env(preload=not launcher, **settings),
                                  name="httpd")
        Traffic(server.announced_port()).once("GET", "/")
        self.assertEqual(1, len(self.spans(1)))
        return server


class ReportTest(ServedTest):
    """What is wrong is said in three places, once in each, and nothing stops."""

    def test_in_log_and_status(self):
        self.needs_spans()
        self.serve(**WRONG_VALUES)
        self.assertEqual(LINES, self.complaints())
        self.assertEqual(LINES, self.logged())

    def test_by_the_launcher_before_the_program_starts(self):
        self.needs_spans()
        server = self.serve(launcher=True, **WRONG_VALUES)
        self.assertEqual(LINES, sorted(line.partition("warning: ")[2] for line in server.err.decode().splitlines()))
        self.assertEqual(LINES, self.complaints())

    def test_no_more_than_the_log_level_allows(self):
        self.needs_spans()
        server = self.serve(launcher=True, OTEL_LOG_LEVEL="debug", SPANSHIM_LOG_LEVEL="error", **WRONG_VALUES)
        self.assertEqual(b"", server.err)
        self.assertEqual([], self.logged())
        self.assertEqual(LINES, self.complaints())

    def test_a_setting_that_is_too_long_is_named(self):
        self.needs_spans()
        self.serve(SPANSHIM_IGNORE_PATHS="/x," * 3000)
        line = "SPANSHIM_IGNORE_PATHS and perhaps others are left out: over 8191 bytes, or 20 kB with the others"
        self.assertEqual([line], self.complaints())
        self.assertEqual([line], self.logged())

    def test_secrets_are_not_shown(self):
        self.needs_spans()
        server = self.serve(launcher=True, OTEL_EXPORTER_OTLP_HEADERS="a b=geheim,geheim",
                            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="ftp://user:geheim@host/?token=geheim")
        said = server.err.decode() + self.spanshim.log() + json.dumps(self.spanshim.status())
        self.assertIn("OTEL_EXPORTER_OTLP_HEADERS", said)
        self.assertNotIn("geheim", said)


class EffectTest(ServedTest):
    """Settings of OpenTelemetry that no other test looks at."""

    def test_known_methods_replace_the_usual_ones(self):
        self.needs_spans()
        server = self.run_program([APPS / "httpd"], name="httpd",
                                  env=self.spanshim.env(OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS="POST,PURGE"))
        port = server.announced_port()
        for method in ("POST", "GET", "PURGE"):
            Traffic(port).once(method, "/")
        spans = {span["name"]: span["attributes"] for span in self.spans(3)}
        self.assertEqual({"POST", "HTTP", "PURGE"}, set(spans))
        self.assertEqual(("_OTHER", "GET"), (spans["HTTP"]["http.request.method"],
                                             spans["HTTP"]["http.request.method_original"]))
        self.assertEqual("PURGE", spans["PURGE"]["http.request.method"])

    def test_stable_names_are_used_always(self):
        self.needs_spans()
        self.serve(OTEL_SEMCONV_STABILITY_OPT_IN="http/dup")
        attributes = self.sink.spans[0]["attributes"]
        self.assertIn("http.request.method", attributes)
        self.assertNotIn("http.method", attributes)


class SystemFileTest(ServedTest):
    """The defaults of the whole system."""

    def system_file(self, text):
        """A file with this text, as a setting."""
        path = self.directory / "system-env"
        path.write_text(text)
        return {"SPANSHIM_SYSTEM_ENV": str(path)}

    def test_it_is_under_the_environment(self):
        self.needs_spans()
        settings = self.system_file("# of all services\nOTEL_SERVICE_NAME=first\nOTEL_SERVICE_NAME='the system'\n"
                                    "SPANSHIM_QUERY=drop\nOTEL_RESOURCE_ATTRIBUTES=from=system\nLD_PRELOAD=/nonexistent\n")
        for launcher in (False, True):
            with self.subTest(launcher=launcher):
                self.sink.spans.clear()
                server = self.serve(launcher, OTEL_RESOURCE_ATTRIBUTES="from=environment", **settings)
                resource = self.sink.spans[0]["resource"]
                self.assertEqual("the system", resource["service.name"])
                self.assertEqual("environment", resource["from"])
                environment = Path(f"/proc/{server.pid}/environ").read_bytes()
                self.assertNotIn(b"the system", environment)
                self.assertNotIn(b"/nonexistent", environment)
                self.assertEqual([], self.complaints())
                server.kill()

    def test_it_says_where_to_and_whether(self):
        self.needs_spans()
        settings = self.system_file(f"OTEL_EXPORTER_OTLP_ENDPOINT={self.spanshim.endpoint}\n"
                                    f"SPANSHIM_RUNTIME_DIR={self.spanshim.runtime}\n")
        unset = {"OTEL_EXPORTER_OTLP_ENDPOINT": None, "OTEL_TRACES_EXPORTER": None, "SPANSHIM_RUNTIME_DIR": None}
        self.serve(**unset, **settings)
        self.sink.spans.clear()
        self.serve(launcher=True, **unset, **settings)
        self.sink.spans.clear()
        server = self.run_program([APPS / "httpd"], env=self.spanshim.env(**self.system_file("SPANSHIM_DISABLED=1\n")))
        Traffic(server.announced_port()).once("GET", "/")
        self.assertEqual([], self.spans())

    def test_what_is_wrong_with_it(self):
        self.needs_spans()
        cases = [
            (self.system_file("OTEL_SERVICE_NAME=x\n\nSPANSHIM_QUERY drop\nNO\n"), "line 3: not NAME=value"),
            ({"SPANSHIM_SYSTEM_ENV": str(self.directory)}, "Is a directory"),
        ]
        for settings, expected in cases:
            with self.subTest(expected):
                self.sink.spans.clear()
                self.serve(**settings).kill()
                lines = [line for line in self.logged() if expected in line]
                self.assertEqual(1, len(lines), self.spanshim.log())

    def test_a_large_file_or_a_pipe_is_ignored(self):
        self.needs_spans()
        settings = self.system_file("OTEL_SERVICE_NAME=x\n" + "#" * 16384)
        self.serve(**settings).kill()
        self.assertIn("File too large", self.spanshim.log())
        self.assertEqual("httpd", self.sink.spans[0]["resource"]["service.name"])
        self.sink.spans.clear()
        os.mkfifo(self.directory / "pipe")
        self.serve(SPANSHIM_SYSTEM_ENV=self.directory / "pipe").kill()
        env = {**self.spanshim.base_env(), "SPANSHIM_SYSTEM_ENV": str(self.directory / "pipe")}
        self.assertEqual(0, subprocess.run([LAUNCHER, "settings"], env=env, capture_output=True, timeout=60, check=False).returncode)


if __name__ == "__main__":
    unittest.main()
