/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of one transfer of libcurl's, one after the other. Private to transfer.c, which knows when a transfer
 * begins and ends. Context of all: hook. */
#ifndef SPANSHIM_TRANSFER_REQUEST_H
#define SPANSHIM_TRANSFER_REQUEST_H

#include "preload/current.h"
#include "preload/ip.h"
#include "preload/libcurl.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TRANSFER_NODES_MAX = 64, TRANSFER_LINES_SIZE = 2048, TRANSFER_AGENT_SIZE = 248 };

/* While a transfer is on. */
struct transfer_legs {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    uint32_t pid;               /* of the process that began it: a fork's child has only a copy */
    uint32_t count;             /* requests so far */
    const void *caller;         /* who began it, and so is bound to the library that does it */
    struct request_ref parent;  /* the request that it is made for, if known */
    struct wire_slot *slot;     /* of the request that is on; NULL: none */
    uint64_t start_ns;          /* of the transfer, by libcurl's account once that is known */
    uint64_t leg_ns;            /* of the request that is on */
    /* libcurl's counters when it began: they add up over the requests of a transfer. */
    curl_off_t redirect_us, resolved_us, connected_us, agreed_us, first_byte_us;
    long connections;
    bool has_list; /* libcurl has our list */
    /* The list that libcurl is given: our lines, each without its end, then the program's own list. */
    struct curl_slist nodes[TRANSFER_NODES_MAX];
    char lines[TRANSFER_LINES_SIZE];
};

/* CURLOPT_USERAGENT, of which libcurl has a copy of its own; cut. */
struct transfer_agent {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    uint32_t length;
    char text[TRANSFER_AGENT_SIZE];
};

/* One end of a connection, as libcurl tells it and as it is recorded. All zero is none. */
struct transfer_end {
    char text[IP_TEXT_SIZE];
    int port;
    struct wire_address address;
};

/* What is known of a handle. Used by who uses the handle, but for the atomic ones. */
struct transfer {
    struct transfer *next;
    _Atomic(CURL *) handle;     /* NULL: to be used again */
    _Atomic(CURLM *) multi;     /* that the handle is with, while a transfer is on */
    struct curl_slist *headers; /* CURLOPT_HTTPHEADER, CURLOPT_PREREQ*: as the program set them */
    libcurl_prereq *prereq;
    void *prereq_data;
    struct transfer_end peer, local; /* of its last request */
    struct transfer_agent *agent;    /* a pool's block, or NULL */
    struct transfer_legs *legs;      /* a pool's block while a transfer is on, else NULL */
    bool connects_only;              /* the program speaks for itself */
    bool calls_back;                 /* libcurl has our callback in place of the program's */
};

/* A transfer begins. NULL: the arena is used up. */
struct transfer_legs *transfer_legs_new(const struct request_ref *parent, uint64_t now_ns, const void *caller);
void transfer_legs_free(struct transfer_legs *legs);

/* libcurl is about to send a request; the one before, if any, has ended. */
void transfer_request_begin(struct transfer *transfer, const char *peer_ip, int peer_port, const char *local_ip,
                            int local_port);

/* Give libcurl the program's list again, if it has ours. */
void transfer_list_restore(struct transfer *transfer);

/* The transfer has ended. If it failed before there was any request, it is one that failed. */
void transfer_request_end(struct transfer *transfer, CURLcode result);

/* The program took it back. */
void transfer_request_cancel(struct transfer *transfer);

#endif
