# SPDX-License-Identifier: Apache-2.0
"""Java: Tomcat with both of its connectors, the JDK's own server, and blocking sockets with a thread for each connection."""

import unittest

import server_matrix
import servers
from server import Server


class Tomcat(Server):
    """Tomcat by its own start script, with everything it writes in a folder of its own."""

    programs = servers.TOMCAT_PROGRAMS
    connector = None

    def start(self):
        argv, settings = servers.tomcat(self.folder, self.port, connector=self.connector)
        self.run(argv, env=self.test.spanshim.env(**settings))
        servers.wait_for_tomcat(self.process)


class TomcatNio(Tomcat):
    connector = "Http11NioProtocol"


class TomcatNio2(Tomcat):
    connector = "Http11Nio2Protocol"


class SourceFile(Server):
    """A program of one source file, compiled as it starts."""

    programs = ("java", "javac")
    source = None
    says_close = False
    logs_given_up = False

    def start(self):
        self.run(["java", servers.JAVA_QUICK_START, servers.SCRIPTS / "java" / self.source, self.port], name=self.source)
        self.log_by_output(b"GET /")


class SunHttpServer(SourceFile):
    left_before = ("client_closed",)  # the head is taken, the body no more
    source = "SunHttpServer.java"


class BlockingServer(SourceFile):
    source = "BlockingServer.java"


class TomcatNioTest(server_matrix.ServerTest):
    server_class = TomcatNio


class TomcatNio2Test(server_matrix.ServerTest):
    server_class = TomcatNio2


class SunHttpServerTest(server_matrix.ServerTest):
    server_class = SunHttpServer


class BlockingServerTest(server_matrix.ServerTest):
    server_class = BlockingServer


if __name__ == "__main__":
    unittest.main(verbosity=2)
