#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A CGI script that answers after as many milliseconds as its path says.
ms=${PATH_INFO#/}
sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
printf 'Content-Type: text/plain\r\n\r\nlate\n'
