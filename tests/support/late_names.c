/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded: names are looked up a fifth of a second late. */
#include <dlfcn.h>
#include <netdb.h>
#include <time.h>

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret_addresses)
{
    const struct timespec late = {.tv_nsec = 200000000};
    __typeof__(&getaddrinfo) original = (__typeof__(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo");

    (void)nanosleep(&late, NULL);
    return original(name, service, hints, ret_addresses);
}
