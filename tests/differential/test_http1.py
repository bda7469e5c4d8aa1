# SPDX-License-Identifier: Apache-2.0
"""Our HTTP/1 parser and llhttp read the streams of tests/data/http1; they agree, or README.md's table says why not. Rows
for what is not explained are printed when the test fails."""

import json
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
STREAMS = HERE.parent / "data" / "http1"
KEPT = HERE / "llhttp.json"
TABLE = HERE / "README.md"
OURS = Path(os.environ["SPANSHIM_BUILD"]).resolve() / "tests" / "http1_streams"
ROW = re.compile(r"\| `(?P<stream>[a-z0-9_.]+)` \| (?P<ours>.*?) \| (?P<llhttp>.*?) \| (?P<why>.*) \|")
LONGEST_TARGET = 40


def printable(text):
    """A text as a table has it: short, without control bytes and bars."""
    text = "".join(c if " " <= c <= "~" and c not in "|`" else f"\\x{ord(c):02x}" for c in text)
    return text if len(text) <= LONGEST_TARGET else f"{text[:20]}..({len(text)})"


def summary(result):
    """What a parser says of a stream, in words."""
    parts = []
    for message in result["messages"]:
        words = [*map(printable, message["start"]), message["framing"], str(message["body"])]
        words += [name for name, is_so in (("last", not message["keep"]), ("upgrade", message["upgrade"]),
                                           ("incomplete", not message["complete"])) if is_so]
        parts.append(" ".join(words))
    return "; ".join(parts + ([result["end"]] if result["end"] != "ok" or not parts else []))


def run_json(argv):
    """A program's JSON."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, timeout=240)
    if done.returncode != 0:
        raise AssertionError(f"{argv[0]}: exit status {done.returncode}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


class DifferentialTest(unittest.TestCase):
    """Streams, read by both."""

    maxDiff = None

    def test_streams_are_many_and_all_kept(self):
        names = {path.name for path in STREAMS.iterdir()}
        self.assertGreaterEqual(len(names), 200)
        self.assertEqual(names, set(json.loads(KEPT.read_text())))

    def test_both_agree_or_the_difference_is_explained(self):
        ours = run_json([OURS, STREAMS])
        kept = json.loads(KEPT.read_text())
        self.assertEqual(set(kept), set(ours))
        actual = {name: (summary(ours[name]), summary(kept[name])) for name in ours if ours[name] != kept[name]}
        rows = list(ROW.finditer(TABLE.read_text()))
        explained = {row["stream"]: (row["ours"], row["llhttp"]) for row in rows if row["why"].strip()}
        self.assertEqual(len(rows), len(explained), "a row without a reason, or two for one stream")
        wrong = sorted(name for name in actual if explained.get(name) != actual[name])
        unneeded = sorted(set(explained) - set(actual))
        if wrong:
            print("\n".join(f"| `{name}` | {actual[name][0]} | {actual[name][1]} |  |" for name in wrong))
        self.assertEqual(([], []), (wrong, unneeded), "not explained as they are; explained in vain")

    def test_llhttp_still_says_what_was_kept(self):
        if not shutil.which("node") or not (HERE / "node_modules" / "undici").is_dir():
            self.skipTest("no node, or llhttp is not installed (scripts/setup-npm): the kept results are believed")
        self.assertEqual(json.loads(KEPT.read_text()), run_json(["node", HERE / "llhttp.js", STREAMS]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
