/* SPDX-License-Identifier: Apache-2.0 */
/* What proxies say about the request as the first of them saw it: Forwarded (RFC 7239), else X-Forwarded-For, -Host and
 * -Proto. Of a list the first element counts, of several fields the first; Forwarded wins over the others. span_head.c
 * offers every field of a request's head. What proxies claim is not verified. */
#ifndef SPANSHIM_FORWARDED_H
#define SPANSHIM_FORWARDED_H

#include "preload/redact.h"
#include "preload/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FORWARDED_CLIENT_SIZE = 64, /* the longest IPv6 text is 45; a longer obfuscated identifier is left out */
    FORWARDED_HOST_SIZE = 256,  /* a DNS name is at most 253 */
};

enum forwarded_scheme { FORWARDED_SCHEME_UNKNOWN, FORWARDED_HTTP, FORWARDED_HTTPS };

/* All zero is the start of a head. The texts are copies, not NUL-terminated; length 0: unknown. */
struct forwarded {
    uint8_t seen;           /* private: header fields that came already; a second one of a name is ignored */
    uint8_t from_forwarded; /* private: what Forwarded has said, so that no other field overwrites it */
    uint8_t scheme;         /* enum forwarded_scheme */
    uint8_t client_length;
    uint16_t host_length;
    uint16_t client_port; /* 0: unknown */
    uint16_t host_port;   /* 0: unknown */
    /* An IP address without brackets and port, or an obfuscated identifier ("_x"); and a host without them. */
    char client[FORWARDED_CLIENT_SIZE];
    char host[FORWARDED_HOST_SIZE];
};

/* Offer a header field, blanks trimmed. True when it is one of the four. Context: pure; signal-safe. */
bool forwarded_field(struct forwarded *forwarded, const char *name, size_t name_len, const char *value,
                     size_t value_len);

/* Copy the addresses of an X-Forwarded-For field, each as `mode` says: what is no address is left out unless they are
 * shown in full. Whole ones only; *ret_truncated: some had no room. Returns the length. Context: pure; signal-safe. */
size_t forwarded_copy_for(struct slice list, enum redact_ip_mode mode, char *out, size_t room, bool *ret_truncated);

#endif
