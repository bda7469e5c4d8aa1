# SPDX-License-Identifier: Apache-2.0
"""The launcher, copied beside a stand-in for the agent (fake_agent.py) that notes messages, as in a prefix."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from processes import PATIENCE_S, command_line

BUILD = Path(os.environ["SPANSHIM_BUILD"])
SUPPORT = Path(__file__).resolve().parent
LIBRARY = BUILD / "bin" / "libspanshim.so"


class LauncherTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="spanshim-launcher-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        shutil.copy(BUILD / "bin" / "spanshim", self.bin)
        shutil.copy(LIBRARY, self.bin)
        shutil.copy(SUPPORT / "fake_agent.py", self.bin / "spanshim-agent")
        (self.bin / "spanshim-agent").chmod(0o755)
        self.runtime = self.folder / "run"
        self.addCleanup(self.end_agent)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("OTEL_", "SPANSHIM_", "HONEYCOMB_", "ROLLBAR_", "LD_", "XDG_"))}
        self.env.update(PATH="/usr/bin:/bin:/usr/sbin:/sbin", SPANSHIM_RUNTIME_DIR=str(self.runtime),
                        OTEL_TRACES_EXPORTER="none", LC_ALL="C.UTF-8", SPANSHIM_INIT_TIMEOUT=str(PATIENCE_S * 1000))

    def end_agent(self):
        for mark in self.runtime.glob("pid.*"):
            pid = int(mark.suffix[1:])
            with contextlib.suppress(ProcessLookupError):
                if str(self.bin) in command_line(pid):  # or the number is another's by now
                    os.kill(pid, signal.SIGKILL)

    def argv(self, *args):
        return [str(self.bin / "spanshim"), *map(str, args)]

    def run_command(self, *args, **settings):
        env = {**self.env, **{name: value for name, value in settings.items() if value is not None}}
        for name, value in settings.items():
            if value is None:
                env.pop(name, None)
        return subprocess.run(self.argv(*args), env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def run_program(self, *args, **settings):
        return self.run_command("run", "--", *args, **settings)

    def start(self, *args, **options):
        process = subprocess.Popen(self.argv(*args), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()

    def messages(self):
        path = self.runtime / "messages"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []  # the last may be half written
        return [json.loads(line) for line in lines]

    def plan(self, **answers):
        self.runtime.mkdir(exist_ok=True)
        (self.runtime / "answers").write_text(json.dumps(answers))
