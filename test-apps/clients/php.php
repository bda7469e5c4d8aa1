<?php
// SPDX-License-Identifier: Apache-2.0
// PHP's clients: php.php LIBRARY STEP... (steps as in python.py). LIBRARY: streams (file_get_contents), curl (its extension).

function through_streams($method, $url, $body, $timeout) {
    $options = ['method' => $method, 'timeout' => $timeout, 'ignore_errors' => true];
    if ($body !== null) {
        $options += ['content' => $body, 'header' => 'Content-Type: text/plain'];
    }
    $data = @file_get_contents($url, false, stream_context_create(['http' => $options]));
    $lines = preg_grep('/^HTTP/', $http_response_header ?? []);
    return [$data === false ? 'failed' : explode(' ', end($lines))[1], (string)$data];
}

function through_curl($method, $url, $body, $timeout) {
    static $curl = null;
    $curl = $curl ?? curl_init();
    curl_reset($curl);
    curl_setopt_array($curl, [CURLOPT_URL => $url, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => $timeout,
        CURLOPT_FOLLOWLOCATION => true, CURLOPT_NOBODY => $method === 'HEAD', CURLOPT_NOPROXY => '*']);
    if ($body !== null) {
        curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
    }
    $data = curl_exec($curl);
    return [$data === false ? 'failed ' . curl_errno($curl) : curl_getinfo($curl, CURLINFO_RESPONSE_CODE), (string)$data];
}

[, $library] = $argv;
foreach (array_slice($argv, 2) as $step) {
    preg_match('/^([a-z]+):?(\d*) (.*)$/', $step, $match);
    [, $verb, $size, $url] = $match;
    $body = $size === '' ? null : str_repeat('b', (int)$size);
    [$status, $data] = ('through_' . $library)($verb === 'timeout' ? 'GET' : strtoupper($verb), $url, $body,
        $verb === 'timeout' ? 3 : 20);
    echo $status, ' ', strlen($data), ' ', substr(hash('sha256', $data), 0, 16), "\n";
}
