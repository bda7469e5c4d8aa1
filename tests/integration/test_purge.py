# SPDX-License-Identifier: Apache-2.0
"""`spanshim purge`: what the agent wrote goes, everything else stays."""

import fcntl
import os
import pty
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import AGENT, LAUNCHER, base_environment
from processes import Process, wait_until

OURS = ("run/spanshim/agent.sock", "run/spanshim/agent.lock", "state/spanshim/agent.log")
SPOOL = ("spool.db", "spool.db-wal", "spool.db-shm", "spool.db.damaged", "spool.lock")
SOMEBODY, OTHER = 61239, 61240
# Root's purge would look at the usual places of this machine's root too.
UID = SOMEBODY if os.geteuid() == 0 else os.geteuid()
AS_USER = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}


@unittest.skipIf(os.path.exists(f"/tmp/spanshim-{UID}"), "an agent of this user may be at work in /tmp")
class PurgeTest(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="purge-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.runtime, self.state = self.directory / "run" / "spanshim", self.directory / "state" / "spanshim"
        (self.directory / "run").mkdir(mode=0o700)
        for folder in (self.directory, self.directory / "run"):
            os.chown(folder, UID, -1)
        self.env = dict(base_environment(self.directory), XDG_RUNTIME_DIR=str(self.directory / "run"),
                        XDG_STATE_HOME=str(self.directory / "state"))

    def start_agent(self):
        agent = Process([str(AGENT), "--stay"], self.directory, self.env, name="agent", **AS_USER)
        self.addCleanup(agent.kill)
        log = self.state / "agent.log"
        wait_until(lambda: log.exists() and "listens at" in log.read_text(), what="the agent")
        return agent

    def leave_traces(self):
        """What an agent leaves that was killed."""
        self.start_agent().kill()
        wait_until(lambda: not self.answers(), what="its worker's end, which may hold the socket")
        for name in OURS:
            self.assertTrue((self.directory / name).exists(), name)

    def leave_report(self):
        folder = self.state / "crashes"
        folder.mkdir(mode=0o700)
        report = folder / "7ab7440a-b91d-4889-851c-25d8833bb84f.json"
        report.write_text("{}")
        for path in (folder, report):
            os.chown(path, UID, -1)

    def answers(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            return probe.connect_ex(str(self.runtime / "agent.sock")) == 0

    def purge(self, *arguments):
        return subprocess.run([str(LAUNCHER), "purge", *arguments], env=self.env, capture_output=True, text=True,
                              timeout=60, check=False, stdin=subprocess.DEVNULL, **AS_USER)

    def test_everything_goes(self):
        self.leave_traces()
        for name in ("agent.log.1", *SPOOL):
            (self.state / name).write_text("older")
            os.chown(self.state / name, UID, -1)
        self.leave_report()
        purged = self.purge("--yes")
        self.assertEqual((0, ""), (purged.returncode, purged.stderr))
        self.assertEqual([], [path for path in self.directory.rglob("*") if "spanshim" in path.name])
        for name in (*OURS, *(f"state/spanshim/{name}" for name in ("agent.log.1", *SPOOL))):
            self.assertIn(str(self.directory / name), purged.stdout)
        again = self.purge("--yes")
        self.assertEqual((0, ""), (again.returncode, again.stdout))
        self.assertIn("nothing to remove", again.stderr)

    def test_the_spool_where_it_was_set(self):
        self.env["SPANSHIM_SPOOL_DIR"] = str(self.directory / "elsewhere")
        self.check_spool_elsewhere()

    def test_the_spool_where_the_system_s_file_has_it(self):
        (self.directory / "env").write_text(f"SPANSHIM_SPOOL_DIR={self.directory}/elsewhere\n")
        self.env["SPANSHIM_SYSTEM_ENV"] = str(self.directory / "env")
        self.check_spool_elsewhere()

    def check_spool_elsewhere(self):
        (self.directory / "elsewhere").mkdir(mode=0o700)
        os.chown(self.directory / "elsewhere", UID, -1)
        for name in (*SPOOL, "mine"):
            (self.directory / "elsewhere" / name).write_text("")
            os.chown(self.directory / "elsewhere" / name, UID, -1)
        self.assertEqual(0, self.purge("--yes").returncode)
        self.assertEqual(["mine"], os.listdir(self.directory / "elsewhere"))

    def test_a_dry_run_only_shows(self):
        self.leave_traces()
        shown = self.purge("--dry-run")
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        for name in OURS:
            self.assertIn(str(self.directory / name), shown.stdout)
            self.assertTrue((self.directory / name).exists())

    def test_nobody_to_ask(self):
        self.leave_traces()
        refused = self.purge()
        self.assertEqual(1, refused.returncode)
        self.assertIn("--yes", refused.stderr)
        self.assertTrue((self.directory / OURS[2]).exists())

    def answer(self, text):
        """Purge on a terminal where this is typed."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, text)
            return subprocess.run([str(LAUNCHER), "purge"], env=self.env, stdin=theirs, capture_output=True, timeout=60,
                                  check=False, **AS_USER).returncode
        finally:
            os.close(ours)
            os.close(theirs)

    def test_a_terminal_is_asked(self):
        self.leave_traces()
        self.assertEqual(1, self.answer(b"\n"))
        self.assertTrue((self.directory / OURS[2]).exists())
        self.assertEqual(0, self.answer(b"y\n"))
        self.assertFalse(self.state.exists())

    def test_a_running_agent_is_left_alone(self):
        agent = self.start_agent()
        refused = self.purge("--yes")
        self.assertEqual(1, refused.returncode)
        self.assertIn("--stop", refused.stderr)
        self.assertTrue((self.directory / OURS[2]).exists())
        self.assertIsNone(agent.popen.poll())
        self.assertEqual(0, self.purge("--yes", "--stop").returncode)
        agent.wait()
        self.assertFalse(self.state.exists() or self.runtime.exists())

    def test_an_agent_that_is_starting_is_left_alone(self):
        self.leave_traces()
        with open(self.runtime / "agent.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(1, self.purge("--yes").returncode)
        self.assertTrue((self.runtime / "agent.lock").exists())

    def test_other_files_stay(self):
        self.leave_traces()
        (self.state / "notes").write_text("mine")
        purged = self.purge("--yes")
        self.assertEqual(0, purged.returncode)
        self.assertIn("there are other files", purged.stderr)
        self.assertEqual(["notes"], [path.name for path in self.state.iterdir()])

    def test_links_are_not_followed(self):
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "agent.log").write_text("precious")
        self.state.parent.mkdir()
        self.state.symlink_to(elsewhere)
        self.runtime.mkdir()
        os.chown(self.runtime, UID, -1)
        (self.runtime / "agent.lock").symlink_to(elsewhere / "agent.log")
        self.assertEqual(0, self.purge("--yes").returncode)
        self.assertEqual("precious", (elsewhere / "agent.log").read_text())
        self.assertTrue(self.state.is_symlink())
        self.assertTrue((self.runtime / "agent.lock").is_symlink())

    @unittest.skipIf(os.geteuid(), "only root can make files of somebody else")
    def test_files_of_others_stay(self):
        self.leave_traces()
        os.chown(self.directory / OURS[2], OTHER, -1)
        purged = self.purge("--yes")
        self.assertEqual(0, purged.returncode, purged.stderr)
        self.assertTrue((self.directory / OURS[2]).exists())
        self.assertFalse(self.runtime.exists())

    def test_a_chosen_folder_stays(self):
        self.leave_traces()
        chosen = self.directory / "chosen"
        chosen.mkdir()
        (chosen / "agent.lock").write_text("")
        for path in (chosen, chosen / "agent.lock"):
            os.chown(path, UID, -1)
        self.env["SPANSHIM_RUNTIME_DIR"] = str(chosen)
        self.assertEqual(0, self.purge("--yes").returncode)
        self.assertEqual([], list(chosen.iterdir()))
        self.assertTrue(self.runtime.exists())

    def test_usage(self):
        self.assertEqual([2, 2], [self.purge(argument).returncode for argument in ("--all", "everything")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
