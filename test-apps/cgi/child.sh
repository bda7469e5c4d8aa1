#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A CGI script that asks another server, by a child of its own and by another script, and answers with what they got.
one=$(curl -s "$BEHIND")
two=$(bash -c 'x=$(curl -s "$BEHIND"); echo "$x"')
printf 'Status: 202 Asked\r\nContent-Type: text/plain\r\n\r\n%s %s\n' "$one" "$two"
