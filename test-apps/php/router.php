<?php
// SPDX-License-Identifier: Apache-2.0
// A router script for PHP's own server, with the paths of httpd.c.

[, $what, $number] = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) + ['', '', '0'];

switch ($what) {
    case 'size':
        header("Content-Length: $number");
        echo str_repeat('x', (int)$number);
        break;
    case 'chunked': // this server chunks nothing by itself
        header('Transfer-Encoding: chunked');
        for ($left = (int)$number; $left > 0; $left -= 100000) {
            $part = str_repeat('x', min($left, 100000));
            printf("%x\r\n%s\r\n", strlen($part), $part);
        }
        echo "0\r\n\r\n";
        break;
    case 'delay':
        usleep((int)$number * 1000);
        echo "late\n";
        break;
    case 'status':
        http_response_code((int)$number);
        echo "status\n";
        break;
    case 'echo':
        echo strlen(file_get_contents('php://input')), "\n";
        break;
    default:
        http_response_code(404);
        echo "no such path\n";
}
error_log("$_SERVER[REQUEST_METHOD] $_SERVER[REQUEST_URI]");
