/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/waiter.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORDS_MAX = FUTEX_WAITV_MAX - 1 };

struct watched {
    _Atomic uint32_t *word;
    uint32_t value;
};

/* A thread and its words. */
struct group {
    struct group *next;
    pthread_t thread;
    _Atomic uint32_t change; /* raised when the words change, and waited for with them */
    /* The rest is guarded by `mutex`. */
    struct watched words[WORDS_MAX];
    unsigned word_count;
    bool stopping;
};

/* Guards the groups' words; the list itself is the loop's. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct group *groups; /* loop only */
static int event_fd = -1;    /* set at start, before any thread */

static long wait_for_any(struct futex_waitv *waiters, unsigned count)
{
    return syscall(SYS_futex_waitv, waiters, count, 0, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Take the words that have another value off the list. Were there any? */
static bool take_woken(struct group *group)
{
    bool any = false;

    for (unsigned i = 0; i < group->word_count;) {
        if (atomic_load(group->words[i].word) == group->words[i].value) {
            i++;
            continue;
        }
        group->words[i] = group->words[--group->word_count];
        any = true;
    }
    return any;
}

static unsigned list_words(struct group *group, struct futex_waitv *waiters)
{
    waiters[0] = (struct futex_waitv){.val = atomic_load(&group->change),
                                      .uaddr = (uint64_t)(uintptr_t)&group->change,
                                      .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
    for (unsigned i = 0; i < group->word_count; i++)
        waiters[i + 1] = (struct futex_waitv){
            .val = group->words[i].value, .uaddr = (uint64_t)(uintptr_t)group->words[i].word, .flags = FUTEX_32};
    return group->word_count + 1;
}

static void *run(void *arg)
{
    struct group *group = arg;
    struct futex_waitv waiters[FUTEX_WAITV_MAX];

    for (;;) {
        uint64_t one = 1;
        unsigned count;
        bool woken, stopping;

        pthread_mutex_lock(&mutex);
        woken = take_woken(group);
        count = list_words(group, waiters);
        stopping = group->stopping;
        pthread_mutex_unlock(&mutex);
        if (stopping)
            return NULL;
        if (woken && write(event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
            return NULL;
        /* Whatever it says - a wake-up, a word that changed before, a mapping that just went - the list tells. */
        (void)wait_for_any(waiters, count);
    }
}

int waiter_init(int *ret_eventfd)
{
    _Atomic uint32_t word = 0;
    struct futex_waitv probe = {.val = 1, .uaddr = (uint64_t)(uintptr_t)&word, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};

    if (wait_for_any(&probe, 1) < 0 && errno != EAGAIN)
        return -errno;
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return -errno;
    *ret_eventfd = event_fd;
    return 0;
}

static void group_changed(struct group *group)
{
    atomic_fetch_add(&group->change, 1);
    futex_wake(&group->change);
}

void waiter_deinit(void)
{
    while (groups) {
        struct group *group = groups;

        groups = group->next;
        pthread_mutex_lock(&mutex);
        group->stopping = true;
        pthread_mutex_unlock(&mutex);
        group_changed(group);
        pthread_join(group->thread, NULL);
        free(group);
    }
    if (event_fd >= 0)
        close(event_fd);
    event_fd = -1;
}

/* The worker's signals are read from a descriptor; a thread must not take them. */
static int start_thread(struct group *group)
{
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&group->thread, NULL, run, group);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

static int group_new(struct group **ret_group)
{
    struct group *group = calloc(1, sizeof(*group));
    int error;

    if (!group)
        return -ENOMEM;
    error = start_thread(group);
    if (error) {
        free(group);
        return error;
    }
    group->next = groups;
    groups = group;
    *ret_group = group;
    return 0;
}

static bool group_add(struct group *group, const struct watched *watched)
{
    bool added = false;

    pthread_mutex_lock(&mutex);
    if (group->word_count < WORDS_MAX) {
        group->words[group->word_count++] = *watched;
        added = true;
    }
    pthread_mutex_unlock(&mutex);
    if (added)
        group_changed(group);
    return added;
}

int waiter_watch(_Atomic uint32_t *word, uint32_t value)
{
    const struct watched watched = {word, value};
    struct group *group;
    int error;

    for (group = groups; group; group = group->next)
        if (group_add(group, &watched))
            return 0;
    error = group_new(&group);
    if (error)
        return error;
    (void)group_add(group, &watched);
    return 0;
}

void waiter_forget(_Atomic uint32_t *word)
{
    pthread_mutex_lock(&mutex);
    for (struct group *group = groups; group; group = group->next)
        for (unsigned i = 0; i < group->word_count;)
            if (group->words[i].word == word)
                group->words[i] = group->words[--group->word_count];
            else
                i++;
    pthread_mutex_unlock(&mutex);
}
