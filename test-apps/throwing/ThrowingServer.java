// SPDX-License-Identifier: Apache-2.0
// A server that prints what its handler throws, and goes on; prints its port.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;

public class ThrowingServer {
    static class PriceException extends RuntimeException {
        PriceException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    static int load(String key) {
        return Map.of("a", "1").get(key).length();
    }

    static int price(String key) {
        try {
            return load(key);
        } catch (NullPointerException cause) {
            throw new PriceException("no price of " + key, cause);
        }
    }

    static void serve(HttpExchange exchange) throws IOException {
        int status = 200;
        try {
            price(exchange.getRequestURI().getPath().split("/")[2]);
        } catch (PriceException error) {
            error.printStackTrace();
            status = 500;
        }
        exchange.sendResponseHeaders(status, -1);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);

        server.createContext("/", ThrowingServer::serve);
        server.start();
        System.out.println("port " + server.getAddress().getPort());
    }
}
