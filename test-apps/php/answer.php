<?php
// SPDX-License-Identifier: Apache-2.0
// The paths of httpd.c for PHP-FPM, and two that tell what a script is told.

[, $what, $number] = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) + ['', '', '0'];

switch ($what) {
    case 'size':
        echo str_repeat('x', (int)$number);
        break;
    case 'delay':
        usleep((int)$number * 1000);
        echo "late\n";
        break;
    case 'status':
        http_response_code((int)$number);
        echo "status\n";
        break;
    case 'moved':
        header('Location: http://elsewhere.example/');
        break;
    case 'echo':
        echo strlen(file_get_contents('php://input')), "\n";
        break;
    case 'stderr': // by FastCGI's stream of that name, before and amid the answer
        error_log('before the answer');
        echo str_repeat('x', 100000);
        flush();
        error_log('amid the answer');
        echo "end\n";
        break;
    case 'told': // the trace variables as they came
        foreach (['HTTP_TRACEPARENT', 'HTTP_TRACESTATE', 'HTTP_BAGGAGE', 'HTTP_B3', 'HTTP_X_AMZN_TRACE_ID'] as $name)
            if (isset($_SERVER[$name]))
                echo "$name=$_SERVER[$name]\n";
        break;
    default:
        http_response_code(404);
        echo "no such path\n";
}
