# SPDX-License-Identifier: Apache-2.0
"""A program that locks its memory does not lock what the shim has reserved, nor is it refused for that: bare and shimmed,
compared."""

import ctypes
import resource
import unittest

from harness import APPS, ShimTest

ALLOWED_KIB = 4096
ROOM, TOO_LITTLE = 6 << 20, 1 << 20  # for the program alone
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14
REFUSED = 2


def limit_to(size):
    """What a program is to do first, so that it may lock so many bytes; root may lock more only by a capability."""
    libc = ctypes.CDLL(None)
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]

    def limit():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (size if hard < 0 else min(size, hard), hard))
        libc.prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)

    return {"preexec_fn": limit}


class LockedMemoryTest(ShimTest):
    def _run(self, env, arguments, **options):
        """Its exit status, and how much it has locked."""
        process = self.run_program([APPS / "lock_memory", *arguments], env=env, **options)
        status = process.wait()
        return status, int(process.out or 0)

    def _compare(self, **options):
        for arguments in (["current"], ["future"], ["current", "late"], ["future", "late"]):
            with self.subTest(arguments):
                status, bare = self._run(self.spanshim.env(preload=False), arguments, **options)
                if status == REFUSED:
                    self.skipTest("memory can't be locked here: RLIMIT_MEMLOCK")
                status, shimmed = self._run(self.spanshim.env(), arguments, **options)
                self.assertEqual(0, status)
                self.assertLess(shimmed, bare + ALLOWED_KIB)
                self.assertGreater(shimmed, bare / 2)

    def test_locked_memory(self):
        self._compare()

    def test_room_for_the_program_alone(self):
        self._compare(**limit_to(ROOM))

    def test_too_little_room(self):
        for env in (self.spanshim.env(preload=False), self.spanshim.env()):
            self.assertEqual((REFUSED, 0), self._run(env, ["future"], **limit_to(TOO_LITTLE)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
