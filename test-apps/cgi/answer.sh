#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The paths of httpd.c as a CGI program, and one that tells the trace variables as they came.
IFS=/ read -r _ what number _ <<END
${REQUEST_URI%%\?*}
END
case $what in
size)
    printf 'Content-Type: text/plain\n\n'
    [ "$REQUEST_METHOD" = HEAD ] || head -c "$number" /dev/zero | tr '\0' x
    ;;
status)
    printf 'Status: %s As asked\nContent-Type: text/plain\n\nstatus\n' "$number"
    ;;
moved)
    printf 'Location: http://elsewhere.example/\n\n'
    ;;
echo)
    printf 'Content-Type: text/plain\n\n%s\n' "$(head -c "$CONTENT_LENGTH" | wc -c | tr -d ' ')"
    ;;
stderr)
    echo 'an error' >&2
    printf 'Content-Type: text/plain\n\nok\n'
    ;;
told)
    printf 'Content-Type: text/plain\n\n'
    for name in HTTP_TRACEPARENT HTTP_TRACESTATE HTTP_BAGGAGE HTTP_B3 HTTP_X_AMZN_TRACE_ID; do
        eval "value=\${$name-}"
        [ -z "$value" ] || printf '%s=%s\n' "$name" "$value"
    done
    ;;
esac
