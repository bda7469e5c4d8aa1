# SPDX-License-Identifier: Apache-2.0
# What is cached is old in a moment. Below /grace/ it is given out all the same, and fetched anew afterwards; else all who ask
# meanwhile wait for the one answer.
vcl 4.1;

backend behind {
    .host = "127.0.0.1";
    .port = "@BEHIND@";
}

sub vcl_backend_response {
    set beresp.ttl = 2ms;
    if (bereq.url ~ "^/grace/") {
        set beresp.grace = 10s;
    } else {
        set beresp.grace = 0s;
    }
}
