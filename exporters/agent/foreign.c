/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/foreign.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLOSERS_MAX = 64, STACK_SIZE = 64 << 10 };

struct waiting {
    struct waiting *next;
    int fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows; nothing is waited for under it */
static struct waiting *waiting;                          /* to be closed */
static unsigned closer_count;                            /* threads that close, until nothing is left */

/* The next one; NULL: this thread ends. */
static struct waiting *take(void)
{
    struct waiting *entry;

    pthread_mutex_lock(&lock);
    entry = waiting;
    if (entry)
        waiting = entry->next;
    else
        closer_count--;
    pthread_mutex_unlock(&lock);
    return entry;
}

static void *close_all(void *arg)
{
    struct waiting *entry;

    (void)arg;
    while ((entry = take())) {
        (void)close(entry->fd);
        free(entry);
    }
    return NULL;
}

/* One more thread, unless there are enough: others may be stuck. */
static bool put(struct waiting *entry)
{
    bool wants_closer;

    pthread_mutex_lock(&lock);
    entry->next = waiting;
    waiting = entry;
    wants_closer = closer_count < CLOSERS_MAX;
    closer_count += wants_closer;
    pthread_mutex_unlock(&lock);
    return wants_closer;
}

static void start_closer(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, close_all, NULL)) {
        pthread_mutex_lock(&lock);
        closer_count--; /* it stays open until there is one */
        pthread_mutex_unlock(&lock);
    }
    (void)pthread_attr_destroy(&attributes);
}

void foreign_close(int fd)
{
    struct waiting *entry;

    if (fcntl(fd, F_GET_SEALS) >= 0) { /* memory is given back at once */
        (void)close(fd);
        return;
    }
    entry = malloc(sizeof(*entry));
    if (!entry)
        return; /* rather lost than waited for */
    entry->fd = fd;
    if (put(entry))
        start_closer();
}

void foreign_hang_up(int connection)
{
    (void)shutdown(connection, SHUT_RDWR);
    foreign_close(connection);
}

void foreign_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    waiting = NULL;
    closer_count = 0;
}
