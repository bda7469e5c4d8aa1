# SPDX-License-Identifier: Apache-2.0
# Everything straight from another server.
vcl 4.1;

backend behind {
    .host = "127.0.0.1";
    .port = "@BEHIND@";
}

sub vcl_recv {
    return (pass);
}
