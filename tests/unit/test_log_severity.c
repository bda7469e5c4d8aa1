/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_severity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NONE, FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG };

/* Lines as the loggers named write them. */
static const struct {
    const char *line;
    int severity;
} cases[] = {
    /* Python: logging, gunicorn, uvicorn, Flask */
    {"ERROR:root:no such thing", ERROR},
    {"2026-11-21 02:53:00,123 - shop.cart - WARNING - almost empty", WARNING},
    {"[2026-11-21 02:53:00 +0000] [123] [INFO] Listening at: http://127.0.0.1:8000", INFO},
    {"[2026-11-21 02:53:00,123] ERROR in app: Exception on / [GET]", ERROR},
    {"INFO:     Started server process [123]", INFO},
    {"CRITICAL:app:gone", CRITICAL},
    {"\x1b[32mINFO\x1b[0m:     coloured", INFO},
    /* Node: pino, bunyan, winston, npm */
    {"{\"level\":30,\"time\":1,\"msg\":\"x\"}", INFO},
    {"{\"level\":50,\"msg\":\"x\"}", ERROR},
    {"{\"message\":\"level\", \"level\": \"warn\"}", WARNING},
    {"info: started", INFO},
    {"2026-11-21T02:53:00.123Z error: failed", ERROR},
    {"npm ERR! code E404", NONE},
    /* Java: log4j, logback, JUL, Tomcat, Spring */
    {"02:53:00.123 [main] DEBUG c.e.App - detail", DEBUG},
    {"2026-11-21 02:53:00.123  WARN 123 --- [main] c.e.App : msg", WARNING},
    {"21-Nov-2026 02:53:00.123 SEVERE [http-nio-8080-exec-1] org.apache.catalina msg", ERROR},
    {"INFO: Server startup in 123 ms", INFO},
    {"java.lang.IllegalStateException: no", ERROR},
    /* Go: zap, logrus, slog, glog */
    {"2026-11-21T02:53:00.123Z\tinfo\tmain.go:12\tmsg", INFO},
    {"time=\"2026-11-21T02:53:00Z\" level=warning msg=\"hot\"", WARNING},
    {"time=2026-11-21T02:53:00Z level=ERROR msg=x", ERROR},
    {"E1121 02:53:00.123456     123 main.go:12] failed", ERROR},
    {"{\"severity\":\"CRITICAL\",\"message\":\"x\"}", CRITICAL},
    /* Ruby, PHP, Perl, Rust, Elixir, .NET */
    {"W, [2026-11-21T02:53:00.123456 #123]  WARN -- : hot", WARNING},
    {"F, [2026-11-21T02:53:00.123456 #123] FATAL -- : gone", FATAL},
    {"PHP Warning:  Undefined variable $x in /srv/x.php on line 3", WARNING},
    {"[21-Nov-2026 02:53:00 UTC] PHP Fatal error:  Uncaught Exception: boom in /srv/x.php:3", ERROR},
    {"[2026-11-21T02:53:00Z INFO  app::server] msg", INFO},
    {"2026-11-21T02:53:00.123456Z ERROR app: msg", ERROR},
    {"02:53:00.123 [warning] hot", WARNING},
    {"fail: Microsoft.AspNetCore.Server[13]", ERROR},
    {"[02:53:00 ERR] failed", ERROR},
    /* servers */
    {"2026/11/21 02:53:00 [error] 12#12: *1 open() failed", ERROR},
    {"nginx: [emerg] bind() failed", FATAL},
    {"[Sat Nov 21 02:53:00.123456 2026] [core:error] [pid 123] AH00000: no", ERROR},
    {"[Sat Nov 21 02:53:00.123456 2026] [mpm_event:notice] [pid 123] AH00489: started", NOTICE},
    {"2026-11-21 02:53:00.123 UTC [123] LOG:  database system is ready", INFO},
    {"2026-11-21 02:53:00.123 UTC [123] FATAL:  no such role", FATAL},
    {"2026-11-21T02:53:00.123456Z 0 [Warning] [MY-010068] [Server] CA certificate", WARNING},
    /* the system */
    {"<3>failed", ERROR},
    {"<30>started", INFO},
    {"myprogram: warning: hot", WARNING},
    {"Error: Cannot find module 'x'", ERROR},
    {"ValueError: no", ERROR},
    {"Traceback (most recent call last):", ERROR},
    /* GELF's numbers are syslog's */
    {"{\"version\":\"1.1\",\"level\":3}", ERROR},
    {"{\"level\":\"3\"}", ERROR},
    /* what says nothing */
    {"", NONE},
    {"   ", NONE},
    {"hello, world", NONE},
    {"there was an error in the file", NONE},
    {"got ERROR from the peer", NONE},
    {"127.0.0.1 - - [21/Nov/2026 02:53:00] \"GET /error/INFO HTTP/1.1\" 200 -", NONE},
    {"GET /error: 200", NONE},
    {"informed people", NONE},
    {"{\"nested\":{\"level\":\"error\"},\"msg\":\"x\"}", NONE},
    {"{\"msg\":\"\\\"level\\\":\\\"error\\\"\"}", NONE},
    {"{\"level\":", NONE},
    {"{\"level", NONE},
    {"{\"level\\", NONE},
    {"{}}}}\"level\":\"error\"", NONE},
    {"{\"level\":99}", NONE},
    {"sealevel=error", NONE},
    {"level=", NONE},
    {"<", NONE},
    {"E", NONE},
    {"\x1b[", NONE},
};

static void test_log_severity_is_what_the_line_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = strlen(cases[i].line);
        char *line = malloc(length ? length : 1); /* exactly as long: a sanitizer sees what reads beyond */

        assert_non_null(line);
        memcpy(line, cases[i].line, length);
        uint8_t severity = log_severity_of((struct slice){line, length});
        if (severity != cases[i].severity)
            print_error("%s\n", cases[i].line);
        assert_int_equal(severity, cases[i].severity);
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_severity_is_what_the_line_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
