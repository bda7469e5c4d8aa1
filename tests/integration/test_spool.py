# SPDX-License-Identifier: Apache-2.0
"""The queue on the disk: what no receiver has accepted outlives the agent, and nothing that is wrong with the disk stops
delivery."""

import os
import shutil
import signal
import sqlite3
import subprocess
import unittest

import servers
from harness import AGENT, BARE, ShimTest, Spanshim, Traffic, dropped_spans
from processes import Process, children, wait_until

DELAY_MS = 200  # of a batch


def paths(spans):
    """The paths asked for, in the order in which their spans came."""
    return [span["attributes"]["url.path"] for span in spans]


@unittest.skipIf(BARE, "bare run")
class SpoolTest(ShimTest):
    """One server, whose receiver comes and goes."""

    def setUp(self):
        super().setUp()
        self.settings = {"OTEL_BSP_SCHEDULE_DELAY": DELAY_MS, "OTEL_EXPORTER_OTLP_TIMEOUT": 60000}
        self.folder = self.spanshim.state / "spanshim"
        self.file = self.folder / "spool.db"
        self.number = 0

    def serve(self, **settings):
        """A server that is traced; what asks it."""
        _, port = servers.httpd(self, env=self.spanshim.env(**{**self.settings, **settings}))
        return Traffic(port)

    def ask(self, traffic, count):
        """So many requests, each with a path of its own; the paths."""
        asked = [f"/size/1/{number:05}" for number in range(self.number, self.number + count)]
        self.number += count
        with traffic.connect() as connection:
            for path in asked:
                traffic.request(connection, "GET", path)
        return asked

    def spooled(self):
        """How many spans are on the disk, for whatever destination."""
        status = self.spanshim.status()
        return (sum(exporter["spooled"] for one in status["destinations"] for exporter in one["exporters"])
                + sum(one["queued"] for one in status["spool"]["waiting"]))

    def wait_spooled(self, count):
        """Until so many spans are on the disk."""
        wait_until(lambda: self.spooled() == count, what=f"{count} spans on the disk, not {self.spooled()}")

    def start_agent(self, **settings):
        """One more agent, with a log of its own."""
        self.spanshim.log_path.unlink()
        self.spanshim.start_agent(**settings)

    def start_agent_by(self, script):
        """The same by a shell script, in which "$@" is the agent."""
        self.spanshim.stop()
        self.spanshim.log_path.unlink()
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.spanshim.agent = Process(["/bin/sh", "-c", script, "sh", str(AGENT), "--stay", "--log",
                                       str(self.spanshim.log_path)], self.directory,
                                      dict(self.spanshim.base_env(), FOLDER=str(self.folder)), name="agent")
        wait_until(lambda: "listens at" in self.spanshim.log(), what="the agent")

    def start_agent_on(self, options):
        """The same, with a file system of its own for the spool."""
        unshare = "unshare -m" if os.geteuid() == 0 else "unshare -rm"
        if subprocess.run([*unshare.split(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest(f"{unshare}: no file system can be mounted here")
        mount = f'mount -t tmpfs -o mode=700,{options} tmpfs "$FOLDER" && exec "$@"'
        self.start_agent_by(f"exec {unshare} /bin/sh -c '{mount}' sh \"$@\"")

    def wait_arrived(self, asked):
        """Until all of them have come: each once, and in order."""
        wait_until(lambda: len(self.sink.spans) >= len(asked), what=f"{len(asked)} spans, not {len(self.sink.spans)}; "
                   f"log:\n{self.spanshim.log()}")
        self.assertEqual(asked, paths(self.sink.spans))
        self.assertEqual([], self.sink.violations)

    def lines(self, text):
        return [line for line in self.spanshim.log().splitlines() if text in line]


class OutlivesTest(SpoolTest):
    """Deaths and restarts."""

    def test_nothing_is_written_while_the_receiver_takes_everything(self):
        """A batch whose answer takes a quarter of a second is: on a busy machine it may take a few attempts."""
        def is_nothing_written():
            self.spanshim.stop()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.start_agent()
            self.sink.clear()
            self.wait_arrived(self.ask(self.serve(), 50))
            return not self.file.exists()

        wait_until(is_nothing_written, what="spans that arrive past the disk")

    def test_agent_killed(self):
        self.sink.set_mode("refuse")
        asked = self.ask(self.serve(OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16), 100)
        self.wait_spooled(100)
        self.spanshim.kill()
        self.sink.set_mode("ok")
        self.start_agent()
        waiting, = self.spanshim.status()["spool"]["waiting"]
        self.assertEqual(("otlp", 100), (waiting["name"], waiting["queued"]))
        self.assertIn(str(self.sink.port), waiting["target"])
        text = self.spanshim.command("status").stdout
        self.assertIn("waiting for a program with their settings", text)
        asked += self.ask(self.serve(OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16), 10)
        self.wait_arrived(asked)
        wait_until(lambda: self.spooled() == 0, what="an empty spool")
        self.assertEqual(0, dropped_spans(self.spanshim.status()))

    def test_agent_ended(self):
        """What had no time to become a batch is put on the disk too."""
        self.sink.set_mode("503")
        asked = self.ask(self.serve(OTEL_BSP_SCHEDULE_DELAY=60000), 30)
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["taken"] == 30, what="the spans")
        self.spanshim.stop()
        self.assertFalse(self.sink.spans)
        self.sink.set_mode("ok")
        self.start_agent()
        self.serve()
        self.wait_arrived(asked)

    def test_worker_killed(self):
        self.sink.set_mode("503")
        traffic = self.serve()
        asked = self.ask(traffic, 40)
        self.wait_spooled(40)
        before = self.spanshim.worker_pid
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: set(children(self.spanshim.agent.pid)) - {before}, what="a new worker")
        asked += self.ask(traffic, 10)
        self.wait_spooled(50)
        self.sink.set_mode("ok")
        self.wait_arrived(asked)

    def test_an_answer_that_never_comes(self):
        self.sink.set_mode("hang")
        asked = self.ask(self.serve(), 20)
        self.wait_spooled(20)
        self.spanshim.kill()
        self.sink.set_mode("ok")
        self.start_agent()
        self.serve()
        self.wait_arrived(asked)

    def test_a_new_token_is_the_same_destination(self):
        self.sink.set_mode("503")
        asked = self.ask(self.serve(OTEL_EXPORTER_OTLP_HEADERS="x-token=old-secret"), 10)
        self.wait_spooled(10)
        self.spanshim.kill()
        for file in self.folder.iterdir():
            self.assertNotIn(b"old-secret", file.read_bytes())
            self.assertNotIn(b"x-token", file.read_bytes())
            self.assertEqual(0o600, file.stat().st_mode & 0o777, file)
        self.sink.set_mode("ok")
        self.start_agent()
        self.serve(OTEL_EXPORTER_OTLP_HEADERS="x-token=new-secret")
        self.wait_arrived(asked)
        self.assertEqual({"new-secret"}, {request["headers"].get("x-token") for request in self.sink.requests[-1:]})

    def test_two_agents(self):
        """They share the file; what one left the other sends when it is gone, and not before."""
        self.sink.set_mode("503")
        asked = self.ask(self.serve(), 10)
        self.wait_spooled(10)
        (self.directory / "other").mkdir()
        other = Spanshim(self.directory / "other", self.spanshim.endpoint)
        other.state = self.spanshim.state
        other.start_agent()
        self.addCleanup(other.stop)
        first, self.spanshim = self.spanshim, other
        mine = self.ask(self.serve(), 5)
        self.wait_spooled(5)
        self.spanshim = first
        self.wait_spooled(10)
        self.spanshim.kill()
        self.spanshim = other
        self.wait_spooled(15)
        self.sink.set_mode("ok")
        wait_until(lambda: len(self.sink.spans) >= 15, what="all spans")
        self.assertEqual(sorted(asked + mine), sorted(paths(self.sink.spans)))

    def test_bounds(self):
        self.sink.set_mode("503")
        traffic = self.serve(SPANSHIM_QUEUE_BYTES=65536, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16)
        asked = self.ask(traffic, 600)
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["taken"] == 600, what="the spans")
        self.sink.set_mode("ok")
        wait_until(lambda: len(self.sink.spans) + dropped_spans(self.spanshim.status()) == 600, what="all accounted for")
        self.assertGreater(len(self.sink.spans), 50)
        self.assertLess(len(self.sink.spans), 600)
        self.assertEqual(asked[-50:], paths(self.sink.spans)[-50:])

    def test_age(self):
        self.sink.set_mode("503")
        self.ask(self.serve(SPANSHIM_QUEUE_AGE=1000), 10)
        wait_until(lambda: dropped_spans(self.spanshim.status()) == 10, what="their age")
        destination, = self.spanshim.status()["destinations"][0]["exporters"]
        self.assertEqual(10, destination["dropped"]["expired"])


class DiskTest(SpoolTest):
    """Whatever is wrong with the disk: one line, and delivery goes on."""

    def check_goes_on(self, words, count=50):
        """Delivery out of memory, with one line about the disk."""
        self.sink.set_mode("503")
        asked = self.ask(self.serve(OTEL_BSP_MAX_EXPORT_BATCH_SIZE=16), count)
        wait_until(lambda: self.lines(words), what="the line")
        self.sink.set_mode("ok")
        self.assertTrue(wait_until(self.spanshim.flush, what="a flush that succeeds"))
        self.wait_arrived(asked)
        self.assertEqual(1, len(self.lines(words)), self.spanshim.log())

    def test_damaged(self):
        self.sink.set_mode("refuse")
        self.ask(self.serve(), 10)
        self.wait_spooled(10)
        self.spanshim.kill()
        for name in ("spool.db-wal", "spool.db-shm"):
            (self.folder / name).unlink()
        self.file.write_bytes(b"no data base at all" * 1000)
        self.start_agent()
        self.check_goes_on("was damaged")
        self.assertTrue((self.folder / "spool.db.damaged").exists())
        with sqlite3.connect(self.file) as db:
            self.assertEqual([("ok",)], db.execute("PRAGMA integrity_check").fetchall())

    def test_no_folder(self):
        """A file stands where the folder is to be."""
        self.spanshim.stop()
        self.spanshim.state.mkdir()
        self.folder.write_text("in the way")
        self.start_agent()
        self.check_goes_on("can't be used: it is no folder")

    def something_has_the_name(self, name):
        """A folder, here."""
        self.spanshim.stop()
        folder = self.directory / "taken"
        (folder / name).mkdir(parents=True)
        folder.chmod(0o700)
        self.start_agent(SPANSHIM_SPOOL_DIR=folder)
        self.check_goes_on(f"{name} can't be opened: it is no plain file of the agent's user")

    def test_something_else_has_the_name(self):
        self.something_has_the_name("spool.db")

    def test_something_else_has_the_locks_name(self):
        self.something_has_the_name("spool.lock")

    def test_none(self):
        self.spanshim.stop()
        self.start_agent(SPANSHIM_SPOOL_DIR="none")
        self.sink.set_mode("503")
        asked = self.ask(self.serve(), 10)
        wait_until(lambda: self.lines("otlp: 503"), what="a failure")
        self.sink.set_mode("ok")
        wait_until(self.spanshim.flush, what="a flush that succeeds")
        self.wait_arrived(asked)
        self.assertFalse(self.folder.exists() and self.file.exists())

    def test_folder_of_others(self):
        """Who could write to it could have us send anything."""
        folder = self.directory / "open"
        folder.mkdir()
        folder.chmod(0o777)
        self.spanshim.stop()
        self.start_agent(SPANSHIM_SPOOL_DIR=folder)
        self.check_goes_on("others can write")

    def test_full(self):
        """What was written before is sent too, and once, though it can't be deleted."""
        self.start_agent_on("size=300k")
        self.check_goes_on("can't be used", 600)

    def test_read_only(self):
        self.start_agent_on("ro")
        self.check_goes_on("can't be opened")

    def test_vanished(self):
        self.sink.set_mode("503")
        traffic = self.serve()
        self.ask(traffic, 10)
        self.wait_spooled(10)
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
        asked = self.ask(traffic, 10)
        wait_until(lambda: self.lines("was removed"), what="the line")
        self.wait_spooled(10)
        self.sink.set_mode("ok")
        wait_until(lambda: paths(self.sink.spans)[-10:] == asked, what="the later spans")
        self.assertEqual(10, dropped_spans(self.spanshim.status()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
