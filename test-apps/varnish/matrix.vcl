# SPDX-License-Identifier: Apache-2.0
# Files from the cache, errors by Varnish itself, the rest straight from another server.
vcl 4.1;

backend behind {
    .host = "127.0.0.1";
    .port = "@BEHIND@";
}

sub vcl_recv {
    if (req.url == "/status/500") {
        return (synth(500));
    }
    if (req.url !~ "^/size/") {
        return (pass);
    }
}
