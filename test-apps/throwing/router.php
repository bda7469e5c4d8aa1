<?php
// SPDX-License-Identifier: Apache-2.0
// A script for PHP's own server and for PHP-FPM that throws, for a reason.

class PriceError extends Exception
{
}

function load($key)
{
    return ['a' => '1'][$key] ?? throw new OutOfBoundsException("no $key");
}

function price($key)
{
    try {
        return load($key);
    } catch (Exception $cause) {
        throw new PriceError("no price of $key", 0, $cause);
    }
}

echo price(explode('/', $_SERVER['REQUEST_URI'])[2]);
