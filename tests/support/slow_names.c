/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the agent: name servers that do not answer for a minute. */
#include <netdb.h>
#include <unistd.h>

enum { ANSWER_AFTER_S = 60 };

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret_addresses)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)ret_addresses;
    (void)sleep(ANSWER_AFTER_S);
    return EAI_AGAIN;
}
