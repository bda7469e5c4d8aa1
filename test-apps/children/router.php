<?php
// SPDX-License-Identifier: Apache-2.0
// Starts curl for each request, as the path's first part says, and answers with what it printed.
$command = 'curl -s ' . escapeshellarg(getenv('BEHIND') . $_SERVER['REQUEST_URI']);
switch (explode('/', $_SERVER['REQUEST_URI'])[1]) {
case 'exec':
    exec($command, $lines);
    echo implode("\n", $lines);
    break;
case 'shell':
    echo shell_exec($command);
    break;
case 'passthru':
    passthru($command);
    break;
case 'open':
    $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
    echo stream_get_contents($pipes[1]);
    proc_close($process);
    break;
default:
    echo 'ready';
}
