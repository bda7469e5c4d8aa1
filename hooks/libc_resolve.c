/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are looked up. What libc does for it does not pass the hooks. */
#include "hooks/hook.h"

#include "preload/clock.h"
#include "preload/ip.h"
#include "preload/lookup.h"

#include <netdb.h>
#include <string.h>

static bool is_name(const char *node)
{
    struct ip ip;

    return node && !ip_parse(node, strlen(node), &ip);
}

/* The process may not be tied to the agent yet: names are looked up before there is a socket. */
HOOK
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **results)
{
    const uint64_t start_ns = clock_mono_ns();
    int result = REAL(getaddrinfo)(node, service, hints, results);
    int saved_errno = errno;

    if (result == 0 && is_name(node) && process_in_vfork == 0) {
        lookup_note(*results, start_ns);
        errno = saved_errno;
    }
    return result;
}
