// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/**
 * A server on blocking sockets with a thread for each connection, as Tomcat's BIO connector was, with the
 * paths of httpd.c, on the port that is its argument; prints a line for each answer.
 */
public class BlockingServer {
    public static void main(String[] arguments) throws IOException {
        ServerSocket listener = new ServerSocket(Integer.parseInt(arguments[0]), 128, InetAddress.getLoopbackAddress());
        while (true) {
            Socket client = listener.accept();
            new Thread(() -> serve(client)).start();
        }
    }

    private static void serve(Socket client) {
        try (client) {
            InputStream in = new BufferedInputStream(client.getInputStream());
            OutputStream out = new BufferedOutputStream(client.getOutputStream());
            boolean open = true;
            while (open) {
                String request = line(in);
                int length = 0;
                for (String field = line(in); !field.isEmpty(); field = line(in)) {
                    String lower = field.toLowerCase();
                    if (lower.startsWith("content-length:"))
                        length = Integer.parseInt(lower.substring(15).trim());
                    open = open && !lower.equals("connection: close");
                }
                in.readNBytes(length);
                answer(out, request.split(" "), length);
                out.flush();
                System.out.println(request);
            }
        } catch (IOException gone) {
            // The client has left.
        }
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0)
                throw new IOException("end of the connection");
            if (c != '\r')
                text.append((char) c);
        }
        return text.toString();
    }

    private static void answer(OutputStream out, String[] request, int length) throws IOException {
        boolean head = request[0].equals("HEAD");
        String[] path = request[1].split("\\?")[0].split("/");
        int number = path.length > 2 ? Integer.parseInt(path[2]) : 0;
        switch (path[1]) {
            case "size" -> counted(out, head, 200, "x".repeat(number));
            case "chunked" -> chunked(out, number);
            case "delay" -> delay(out, head, number);
            case "status" -> counted(out, head || number == 204 || number == 304, number, "status\n");
            case "echo" -> counted(out, head, 200, length + "\n");
            default -> counted(out, head, 404, "no such path\n");
        }
    }

    private static void counted(OutputStream out, boolean bare, int status, String body) throws IOException {
        out.write(("HTTP/1.1 " + status + " Status\r\n").getBytes());
        if (status != 204 && status != 304)
            out.write(("Content-Length: " + body.length() + "\r\n").getBytes());
        out.write("\r\n".getBytes());
        if (!bare)
            out.write(body.getBytes());
    }

    private static void delay(OutputStream out, boolean head, int ms) throws IOException {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
        counted(out, head, 200, "late\n");
    }

    private static void chunked(OutputStream out, int count) throws IOException {
        out.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".getBytes());
        for (int left = count; left > 0; left -= 100_000) {
            int size = Math.min(left, 100_000);
            out.write((Integer.toHexString(size) + "\r\n" + "x".repeat(size) + "\r\n").getBytes());
        }
        out.write("0\r\n\r\n".getBytes());
    }
}
