/* SPDX-License-Identifier: Apache-2.0 */
/* A request target taken apart (RFC 9112 3.2, RFC 3986). Nothing is decoded; all slices point into the input. */
#ifndef SPANSHIM_TARGET_H
#define SPANSHIM_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/slice.h"

enum target_form {
    TARGET_ORIGIN,    /* /path?query */
    TARGET_ABSOLUTE,  /* http://user@host:port/path?query */
    TARGET_AUTHORITY, /* host:port: only CONNECT's */
    TARGET_ASTERISK,  /* *: only OPTIONS' */
};

struct target {
    enum target_form form;
    struct slice scheme; /* as written; empty unless absolute */
    struct slice host;   /* IPv6 without its brackets; empty unless absolute or authority */
    uint16_t port;       /* 0: not given */
    struct slice path;   /* "/" for an absolute target without one; "*"; empty for the authority form */
    struct slice query;  /* without '?'; a fragment that doesn't belong there is part of it */
    bool has_query;      /* there was a '?' */
    bool has_user;       /* there was a user or a password before the host of an absolute one */
};

/* False when it has none of the four forms, or an authority that can't be one. Context: pure; signal-safe. */
bool target_split(const char *target, size_t len, bool is_connect, struct target *ret_target);

/* Split an authority, as Host has it: user and password are dropped, IPv6 loses its brackets, no port is 0. False for
 * an empty host, a port above 65535, or bytes that no host has. Context: pure; signal-safe. */
bool target_split_authority(const char *authority, size_t len, struct slice *ret_host, uint16_t *ret_port);

#endif
