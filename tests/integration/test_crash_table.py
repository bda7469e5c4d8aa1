# SPDX-License-Identifier: Apache-2.0
"""What the report of each crash of the table says: one report each, its title, the functions on the crashed thread's stack,
how many threads there were."""

import os
import signal
import unittest

import crash_rows
import crash_runs
from harness import APPS, ShimTest
from processes import wait_until


def functions(report):
    """The crashed thread's calls, the innermost first."""
    return [frame.get("function", "?") for frame in report["threads"][0]["frames"]] if "threads" in report else []


def stand_in_order(names, wanted):
    """Are the wanted names among the names, in this order, the first of them within the first few that libc may add?"""
    rest = iter(names)
    return all(any(one in name for name in rest) for one in wanted)


class TableTest(ShimTest):
    """Each part of the table has an agent of its own: it keeps 50 reports."""

    def _check_rows(self, rows):
        present = [row for row in rows if (APPS / row.program).exists()]
        for program in {row.program for row in rows} - {row.program for row in present}:
            print(f"left out: {program}, whose compiler isn't here (scripts/setup installs it)")
        if not crash_rows.STATUS_IS_TOLD:
            print("deaths without a handler are not expected to be reported: this kernel tells the parent only")
        env = self.spanshim.env(SPANSHIM_CRASH="always")
        with crash_runs.settled_layout(cores=False):
            runs = crash_runs.in_parallel(lambda row: self._run(row, env), present)
        least = sum(row.reports for row in present)
        reports = self.reports(least)
        for row, run in zip(present, runs):
            with self.subTest(row.name):
                self._check_row(row, [report for report in reports if self._is_of(report, run)])

    def _run(self, row, env):
        folder = self.directory / row.name.replace(" ", "-")
        return crash_runs.run_row(row, folder, env, self.spanshim)

    def _is_of(self, report, run):
        process = report["process"]
        return process["pid"] == run.pid or process.get("cwd") == str(run.directory)

    def _check_row(self, row, reports):
        self.assertEqual(row.reports, len(reports), [report["title"] for report in reports])
        if reports:
            self._check_report(row, reports[0])

    def _check_report(self, row, report):
        names = functions(report)
        self.assertIn(row.title, report["title"])
        if row.program != "crasher_stripped":
            self.assertTrue(stand_in_order(names, row.frames), f"{row.frames} in {names}")
        self.assertEqual(row.threads, len(report.get("threads", [])))
        self.assertEqual("crash" if row.threads else "death", report["kind"])
        self.assertNotIn("argv", report["process"])  # nobody asked for arguments, which may hold secrets
        self.assertEqual(os.path.basename(row.argv[0]), os.path.basename(report["process"]["executable"].removesuffix(" (deleted)")))

    def test_faults(self):
        self._check_rows(crash_rows.FAULTS)

    def test_places(self):
        self._check_rows(crash_rows.PLACES)

    def test_handlers(self):
        self._check_rows(crash_rows.HANDLERS)

    def test_languages(self):
        self._check_rows(crash_rows.LANGUAGES)

    def test_program_that_another_has_become(self):
        """The death is the last image's, not also that of those before it."""
        row = crash_rows.Row("null_write", known=True)
        argv = ["/bin/sh", "-c", 'exec "$@"', "sh", *row.argv]
        run = crash_runs.run(argv, self.directory / "exec", self.spanshim.env(SPANSHIM_CRASH="always"),
                             between=lambda pid: wait_until(lambda: self.spanshim.knows(pid), what="the agent knows it"))
        self.assertEqual(-signal.SIGSEGV, os.waitstatus_to_exitcode(run.wait_status))
        report, = self.reports(1)
        self.assertEqual("SIGSEGV in null_write: write to 0x0 (null pointer)", report["title"])

    def test_silent(self):
        self._check_rows(crash_rows.SILENT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
