// SPDX-License-Identifier: Apache-2.0

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

/** A servlet that asks the server behind it for what it is asked for, and waits for the answer. */
public class AskingServlet extends HttpServlet {
    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String query = request.getQueryString() == null ? "" : "?" + request.getQueryString();
        URL behind = new URL("http://127.0.0.1:" + System.getenv("BEHIND") + request.getRequestURI() + query);
        try (InputStream answer = ((HttpURLConnection) behind.openConnection()).getInputStream()) {
            response.getOutputStream().write(answer.readAllBytes());
        }
    }
}
