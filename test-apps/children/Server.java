// SPDX-License-Identifier: Apache-2.0
// Starts curl for each request, as the path's first part says, and answers with what it printed: `java Server.java PORT`

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;

public class Server {
    static byte[] started(String path) throws IOException {
        ProcessBuilder builder = new ProcessBuilder("curl", "-s", System.getenv("BEHIND") + path);
        if (path.startsWith("/env"))
            builder.environment().put("MORE", "1");
        else if (!path.startsWith("/builder"))
            return "ready".getBytes();
        return builder.start().getInputStream().readAllBytes();
    }

    static void answer(HttpExchange exchange) throws IOException {
        byte[] body = started(exchange.getRequestURI().getPath());
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.createContext("/", Server::answer);
        server.start();
    }
}
