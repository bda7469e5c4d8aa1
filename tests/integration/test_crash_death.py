# SPDX-License-Identifier: Apache-2.0
"""A process that crashes dies under the shim as it dies bare: the same wait status, output and core file, and gdb sees the
same signal, registers and frames in it."""

import os
import unittest

import crash_runs
import gdb_cores
from crash_rows import ROWS
from harness import APPS, ShimTest


class DeathTest(ShimTest):
    """All crashes of the table, each bare and shimmed."""

    def _environments(self):
        """Bare and shimmed; of the same size, which moves the stack."""
        shimmed = self.spanshim.env(SPANSHIM_CRASH="always")
        bare = {("NO_PRELOAD" if name == "LD_PRELOAD" else name): value for name, value in shimmed.items()}
        return bare, shimmed

    def _run_all(self, rows, env, name):
        def work(numbered):
            number, row = numbered
            return crash_runs.run_row(row, self.directory / name / str(number), env)

        return crash_runs.in_parallel(work, list(enumerate(rows)))

    def test_deaths(self):
        bare_env, env = self._environments()
        rows = [row for row in ROWS if (APPS / row.program).exists()]
        for program in {row.program for row in ROWS} - {row.program for row in rows}:
            print(f"left out: {program}, whose compiler isn't here (scripts/setup installs it)")
        with crash_runs.settled_layout():
            bare = self._run_all(rows, bare_env, "bare")
            shimmed = self._run_all(rows, env, "shimmed")
        for row, left, right in zip(rows, bare, shimmed):
            with self.subTest(row.name):
                self.assertEqual((left.end, left.err), (right.end, right.err))
                self.assertEqual(*((run.out if row.settled else set(run.out.splitlines())) for run in (left, right)))
                self.assertEqual(bool(left.core), bool(right.core), "core files")
        self._compare_cores(rows, bare, shimmed)

    def _compare_cores(self, rows, bare, shimmed):
        missing = crash_runs.cores_missing()
        if missing:
            print(f"cores aren't compared: {missing}")
            return
        both = [(row, left, right) for row, left, right in zip(rows, bare, shimmed) if left.core and right.core]
        self.assertGreater(len(both), len(rows) // 2)

        def look(runs):
            return gdb_cores.read([(APPS / os.path.basename(run.argv[0]), run.core) for run in runs])

        left_seen, right_seen = crash_runs.in_parallel(look, [[left for _, left, _ in both], [right for _, _, right in both]])
        for (row, _, _), left, right in zip(both, left_seen, right_seen):
            with self.subTest(f"core of {row.name}"):
                self._compare_core(row, left, right)

    def _compare_core(self, row, left, right):
        self.assertNotIn("error", left)
        for what in ("signal", "code", "address"):
            self.assertEqual(left[what], right.get(what), what)
        self.assertEqual(left["frames"][0][0], right["frames"][0][0], "frame 0")
        if row.settled:
            self.assertEqual(left["registers"], right["registers"], "registers")
            # Behind an overwritten return address gdb goes on with whatever stands there.
            self.assertEqual(*[[frame for frame in seen["frames"] if frame[0] != "?"] for seen in (left, right)], "frames")


if __name__ == "__main__":
    unittest.main(verbosity=2)
