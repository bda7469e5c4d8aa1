// SPDX-License-Identifier: Apache-2.0

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.OutputStream;

/** A servlet with the paths of httpd.c. */
public class PathsServlet extends HttpServlet {
    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String[] path = request.getRequestURI().split("/");
        int number = path.length > 2 ? Integer.parseInt(path[2]) : 0;
        switch (path[1]) {
            case "size" -> answer(response, 200, "x".repeat(number));
            case "chunked" -> chunked(response.getOutputStream(), number);
            case "delay" -> delay(response, number);
            case "status" -> answer(response, number, "status\n");
            default -> answer(response, 404, "no such path\n");
        }
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        answer(response, 200, request.getInputStream().readAllBytes().length + "\n");
    }

    private static void answer(HttpServletResponse response, int status, String body) throws IOException {
        response.setStatus(status);
        if (status == 204 || status == 304)
            return;
        response.setContentLength(body.length());
        response.getOutputStream().write(body.getBytes());
    }

    private static void delay(HttpServletResponse response, int ms) throws IOException {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
        answer(response, 200, "late\n");
    }

    /** A body of no stated length: the container sends it in chunks. */
    private static void chunked(OutputStream body, int count) throws IOException {
        for (int left = count; left > 0; left -= 100_000)
            body.write("x".repeat(Math.min(left, 100_000)).getBytes());
    }
}
