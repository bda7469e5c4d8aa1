# SPDX-License-Identifier: Apache-2.0
"""Apache with each of its ways to spread work: files, its own errors, CGI, and a server behind it."""

import os
import signal
import unittest

import server_matrix
import servers
from processes import command_line
from server import Server

MODULES = "/usr/lib/apache2/modules"


class Apache(Server):
    """Processes and threads as `mpm` says."""

    programs = ("apache2",)
    mpm = None
    cgi = "cgid"
    left_before = ("answered", "client_closed")  # in one write, or a second one fails: as the script's output comes
    logs_given_up = None  # at a reload it may have read a request and close all the same: that one is not logged

    def start(self):
        config = self.fill_in("apache/matrix.conf", MPM=self.mpm, CGI=self.cgi, MODULES=MODULES,
                              ROOT=servers.matrix_files(self.folder), CGI_BIN=servers.SCRIPTS / "cgi",
                              BEHIND=self.backend(), USER="User www-data\nGroup www-data" if os.getuid() == 0 else "")
        self.run(["/usr/sbin/apache2", "-f", config, "-D", "FOREGROUND"])

    def reload(self):
        self.reload_by(signal.SIGUSR1)

    def kill_worker(self):
        self.kill_one()


class ApacheEvent(Apache):
    """One thread waits for all idle connections."""

    mpm = "event"
    # At a reload it may end with a request in hand that came together with one before. (wrk sends two at once when a pause
    # of its old connection ends on the new one.)
    load_errors = ("process_exited",)


class ApacheWorker(Apache):
    """A thread per connection."""

    mpm = "worker"


class ApachePrefork(Apache):
    """A process per connection."""

    mpm = "prefork"
    cgi = "cgi"


class EventTest(server_matrix.ServerTest):
    server_class = ApacheEvent


class WorkerTest(server_matrix.ServerTest):
    server_class = ApacheWorker


class PreforkTest(server_matrix.ServerTest):
    server_class = ApachePrefork


if __name__ == "__main__":
    unittest.main(verbosity=2)
