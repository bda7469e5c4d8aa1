#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A CGI script that answers with as many bytes as its path says, without saying so before.
printf 'Content-Type: text/plain\r\n\r\n'
head -c "${PATH_INFO#/}" /dev/zero | tr '\0' x
