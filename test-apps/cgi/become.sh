#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A CGI script that asks another server, and then becomes the program that answers.
curl -s -o /dev/null "$BEHIND"
exec "$PROGRAM"
