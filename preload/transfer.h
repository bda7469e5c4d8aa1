/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP as libcurl does it, seen by its interface: whatever version of HTTP and library for TLS. hooks/curl.c reports
 * the program's calls; libcurl itself calls us before each request that it sends (CURLOPT_PREREQFUNCTION), so redirects
 * and rounds of authentication are requests with a span and a trace header of their own.
 *
 * The program's list of headers is never touched: while a transfer is on, libcurl is given a list of ours that ends in
 * the program's, and the program's own again when it is over. Only handles whose life was seen from its beginning are
 * followed: else the program might have a list that we don't know of. The sockets below are none of ours meanwhile.
 *
 * A handle is used by one thread at a time, by libcurl's rules; several handles may be at once. Context of all: hook.
 */
#ifndef SPANSHIM_TRANSFER_H
#define SPANSHIM_TRANSFER_H

#include "preload/libcurl.h"
#include "preload/real.h"

#include <stdbool.h>

/* A call of the program's that makes libcurl work; lies on the stack of that call. */
struct transfer_call {
    void *real;                  /* the function that is called */
    bool is_programs;            /* else libcurl's own, and nothing below is set */
    bool is_followed;            /* what libcurl connects within it is left to us; transfer_enter assumes so */
    struct transfer_call *outer; /* one in whose callback the program made this one, or NULL */
};

/* Such a call begins, of this function. False when it is libcurl that calls, out of such a call or of one that went
 * past the hooks: nothing is to be noted then. transfer_leave is called in both cases. */
bool transfer_enter(struct transfer_call *call, enum hook_id id, const void *caller);
void transfer_leave(const struct transfer_call *call);

/* Is this an address in libcurl, which works for the program right now, on this thread? What it connects is its own. */
bool transfer_is_libcurl(const void *code);

/* A handle's life. Each after the real call but for transfer_gone. */
void transfer_born(CURL *handle);
void transfer_copied(CURL *of, CURL *copy, const void *caller);
void transfer_reset(CURL *handle);
void transfer_gone(CURL *handle);

/* Is it an option that concerns us? */
static inline bool transfer_notes(CURLoption option)
{
    return option == CURLOPT_HTTPHEADER || option == CURLOPT_USERAGENT || option == CURLOPT_CONNECT_ONLY ||
           (int)option == LIBCURL_OPT_PREREQFUNCTION || (int)option == LIBCURL_OPT_PREREQDATA;
}

/* It is noted. True: libcurl need not be told now, it is when the transfer is over. Before the real
 * call. */
bool transfer_option(CURL *handle, CURLoption option, void *value);

/* A transfer is about to begin, on its own or as one of several (multi). False: it is not followed. */
bool transfer_begin(CURL *handle, CURLM *multi, const void *caller);

/* It has ended, with this result. */
void transfer_end(CURL *handle, CURLcode result);

/* It was taken back before its end was told, if there was one. */
void transfer_cancel(CURL *handle);

/* The multi handle is about to go; transfers that are still with it are taken back. */
void transfer_multi_gone(CURLM *multi);

#endif
