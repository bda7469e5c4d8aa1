# SPDX-License-Identifier: Apache-2.0
"""The shared object as it is built: what it needs, exports, imports and weighs."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import LIBRARY, SOURCE

HIGHEST_GLIBC = (2, 34)  # dlsym's home in libc: Debian 12 has 2.36, RHEL 9 has 2.34

# All that may be imported. The target's heap, streams, threads and environment are its own; what is here takes no lock,
# allocates nothing and may be called in a signal handler, or is called at start only (dl_iterate_phdr, getauxval).
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "memchr", "memrchr", "memmem", "strlen", "strnlen", "strcmp", "strncmp",
           "strncasecmp", "strchr", "strrchr", "strcasestr", "strspn", "explicit_bzero",
           "clock_gettime", "__errno_location", "dl_iterate_phdr", "getauxval",
           "environ", "__environ", "__libc_single_threaded",  # the first two are one variable
           "uv_run",  # of libuv, if the program has it: only where it is
           "Py_Version", "PyGILState_GetThisThreadState",  # of CPython, likewise
           "__tsan_init"}  # of ThreadSanitizer, likewise

WEAK_BY_THE_COMPILER = {"__cxa_finalize", "__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}


def readelf(*options):
    """readelf's answer about the object."""
    return subprocess.run(["readelf", "-W", *options, str(LIBRARY)], capture_output=True, text=True, check=True).stdout


def symbols():
    """The dynamic symbols: (name with version, defined, binding)."""
    found = []
    for line in readelf("--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[0].rstrip(":").isdigit():
            found.append((fields[7], fields[6] != "UND", fields[4]))
    return found


def hook_rows():
    """The symbols that hooks.def says we interpose."""
    text = (SOURCE / "hooks" / "hooks.def").read_text()
    return set(re.findall(r"^\s*HOOK\w*\((\w+)", text, re.MULTILINE))


@unittest.skipUnless(LIBRARY.exists(), f"{LIBRARY} is not built")
class ObjectTest(unittest.TestCase):
    """Gates of the shared object."""

    def test_needs_only_libc(self):
        self.assertEqual(["libc.so.6"], re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d")))

    def test_exports_exactly_the_hooks(self):
        exported = {name.split("@")[0] for name, defined, _ in symbols() if defined}
        versions = set(re.findall(r"Name: (\S+)", readelf("-V")))
        self.assertEqual(hook_rows(), exported - versions)

    def test_imports_nothing_else(self):
        imported = {name.split("@")[0] for name, defined, _ in symbols() if not defined and name}
        self.assertEqual(set(), imported - ALLOWED - WEAK_BY_THE_COMPILER)

    def test_calls_no_hook(self):
        """A call by name would be bound to our own definition, or to a later object's: such a call has a relocation."""
        named = {line.split()[4].split("@")[0] for line in readelf("-r").splitlines()
                 if "R_X86_64_" in line and len(line.split()) > 4}
        self.assertIn("memcpy", named)
        self.assertEqual(set(), named & hook_rows())

    def test_highest_glibc_version(self):
        versions = {tuple(map(int, text.split("."))) for text in re.findall(r"GLIBC_([\d.]+)", readelf("-V"))}
        print("highest GLIBC version:", ".".join(map(str, max(versions))))
        self.assertLessEqual(max(versions), HIGHEST_GLIBC)

    def test_size(self):
        with tempfile.TemporaryDirectory() as folder:
            stripped = Path(folder) / "stripped.so"
            subprocess.run(["strip", "-o", str(stripped), str(LIBRARY)], check=True)
            size = os.path.getsize(stripped)
        print(f"stripped: {size} bytes")
        self.assertLess(size, 200_000)

    def test_load_flags(self):
        dynamic, segments = readelf("-d"), readelf("-l")
        self.assertRegex(dynamic, r"BIND_NOW|FLAGS_1.*NOW")
        self.assertNotIn("TEXTREL", dynamic)
        self.assertNotRegex(dynamic, r"RPATH|RUNPATH")
        self.assertRegex(segments, r"GNU_STACK .* RW +0x")
        self.assertNotRegex(segments, r"LOAD .* RWE ")
        self.assertIn("GNU_RELRO", segments)

    def test_thread_local_storage(self):
        found = re.search(r"^ +TLS +\S+ \S+ \S+ \S+ (0x[0-9a-f]+)", readelf("-l"), re.MULTILINE)
        size = int(found.group(1), 16) if found else 0
        print(f"thread-local storage: {size} bytes")
        self.assertLessEqual(size, 256)
        if size:
            self.assertIn("STATIC_TLS", readelf("-d"))

    def test_can_be_unwound(self):
        self.assertRegex(readelf("-S"), r"\.eh_frame ")
        self.assertIn("GNU_EH_FRAME", readelf("-l"))

    def test_control_flow_notes(self):
        start = subprocess.run(["gcc", "-print-file-name=crti.o"], capture_output=True, text=True, check=True)
        notes = subprocess.run(["readelf", "-n", start.stdout.strip()], capture_output=True, text=True, check=True)
        if "IBT" not in notes.stdout:
            self.skipTest("libc's own start files have no such note here: no object can")
        self.assertRegex(readelf("-n"), r"IBT.*SHSTK")


if __name__ == "__main__":
    unittest.main(verbosity=2)
