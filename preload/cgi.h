/* SPDX-License-Identifier: Apache-2.0 */
/* A CGI program (RFC 3875): a process that is started for one request, which its environment describes, and that
 * answers on its standard output. The request's span begins with the process and ends with it; a process that is killed
 * leaves it open, and the agent ends it.
 *
 * Environments are inherited: what a CGI program starts would take itself for one. So it is given a mark, which names
 * the process whose request it is. If that same process becomes another program, it goes on with the request.
 */
#ifndef SPANSHIM_CGI_H
#define SPANSHIM_CGI_H

#include <stdbool.h>
#include <stddef.h>

struct iovec;

#define CGI_MARK "SPANSHIM_CGI_PROCESS="

/* Do these variables describe a request? Then HTTP_PROXY is one of its header fields. Context: pure. */
bool cgi_is_described(char *const *envp);

/* Begin the request, unless it is another process's. Context: start; after the others. */
void cgi_init(char *const *envp);

/* The mark for what this process starts, "NAME=value"; NULL: it serves no such request. *ret_is_own: the request is
 * this process's own, it is no child of that one. Context: hook; signal-safe; also in a child after fork or vfork. */
const char *cgi_mark(bool *ret_is_own);

/* The process starts others, which may write to its standard output. Context: likewise. */
void cgi_shares_output(void);

/* The program has written the first n bytes of these to what it answers on. Context: hook; signal-safe. */
void cgi_written(const struct iovec *iov, int count, size_t n);

/* This process is about to become another program, and: it could not. Context: hook; signal-safe. */
void cgi_before_exec(void);
void cgi_after_exec(void);

/* The process ends in the ordinary way. Context: hook, destructor; signal-safe. */
void cgi_at_exit(void);

#endif
