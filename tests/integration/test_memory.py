# SPDX-License-Identifier: Apache-2.0
"""A program that locks its memory does not lock what the shim has reserved: bare and shimmed, compared."""

import unittest

from harness import APPS, ShimTest

ALLOWED_KIB = 4096


class LockedMemoryTest(ShimTest):
    def _locked(self, env, *arguments):
        process = self.run_program([APPS / "lock_memory", *arguments], env=env)
        status = process.wait()
        if status == 2:
            self.skipTest("memory can't be locked here: RLIMIT_MEMLOCK")
        self.assertEqual(0, status)
        return int(process.out)

    def test_locked_memory(self):
        for arguments in (["current"], ["future"], ["current", "late"], ["future", "late"]):
            with self.subTest(arguments):
                bare = self._locked(self.spanshim.env(preload=False), *arguments)
                self.assertLess(self._locked(self.spanshim.env(), *arguments), bare + ALLOWED_KIB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
