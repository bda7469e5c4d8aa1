/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request went: the server by name and port, and the whole URL, put together again from what the wire has of
 * it. Bytes are as the program sent them: not checked as UTF-8. */
#ifndef SPANSHIM_URL_H
#define SPANSHIM_URL_H

#include "exporters/agent/span.h"
#include "exporters/encode/address.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { URL_SIZE = WIRE_RECORD_MAX + 64 }; /* all texts of a record, and what stands between them */

struct url_server {
    struct slice host; /* a name, an address without brackets, or a unix socket's path; length 0: unknown */
    uint16_t port;     /* 0: it has none */
    bool is_path;
    char text[ADDRESS_SIZE]; /* the host's, where the socket tells it */
};

/* As the request names it, else the socket's end: a client's peer, a server's own. *ret_server stays where it is: its
 * host may point into it. Context: pure. */
void url_server(const struct span *span, struct url_server *ret_server);

enum url_form {
    URL_WHOLE,
    URL_WITHOUT_QUERY,
    URL_FOR_PEOPLE, /* http:// is left out */
};

/* The URL without a NUL; its length, 0 when the server's name isn't known. The usual port of the scheme is left out;
 * user and password are REDACTED. A server's URL has the Host field as it was sent, where the wire has that. Context:
 * pure. */
size_t url_write(const struct span *span, enum url_form form, char out[URL_SIZE]);

#endif
