/* SPDX-License-Identifier: Apache-2.0 */
/* Exports functions of its own under names that belong to TLS libraries, or that a preloaded object might use inside.
 * Its own must be the ones that it calls, and nobody else may call them. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int calls; /* of the functions below */

#define OWN(name)                                                                                                      \
    __attribute__((visibility("default"))) int name(void);                                                             \
    int name(void)                                                                                                     \
    {                                                                                                                  \
        calls++;                                                                                                       \
        return 42;                                                                                                     \
    }

OWN(SSL_new)
OWN(SSL_read)
OWN(SSL_read_ex)
OWN(SSL_write)
OWN(SSL_write_ex)
OWN(SSL_free)
OWN(gnutls_record_recv)
OWN(init)
OWN(start)
OWN(config_read)
OWN(conn_data_in)
OWN(conn_open)
OWN(http1_feed)
OWN(ring_reserve)
OWN(ring_commit)
OWN(hook_enter)
OWN(clock_now)
OWN(fdtab_get)
OWN(link_open)

int main(void)
{
    char bytes[32];
    int ends[2];
    int (*const own[])(void) = {SSL_new,      SSL_read,           SSL_read_ex, SSL_write,    SSL_write_ex,
                                SSL_free,     gnutls_record_recv, init,        start,        config_read,
                                conn_data_in, conn_open,          http1_feed,  ring_reserve, ring_commit,
                                hook_enter,   clock_now,          fdtab_get,   link_open};
    int sum = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    (void)!write(ends[0], "GET / HTTP/1.1\r\n\r\n", 18);
    (void)!read(ends[1], bytes, sizeof bytes);
    (void)printf("called by others: %d\n", calls);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sum += own[i]();
    (void)printf("own: %d\n", sum / (int)(sizeof own / sizeof *own));
    return 0;
}
