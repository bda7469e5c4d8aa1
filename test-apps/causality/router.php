<?php
// SPDX-License-Identifier: Apache-2.0
// Asks the server behind it for the path it is asked for.
echo file_get_contents('http://127.0.0.1:' . getenv('BEHIND') . $_SERVER['REQUEST_URI']);
