/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/rollbar_limit.h"

#include "exporters/encode/rollbar_fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_NS UINT64_C(60000000000)

/* The times of the last items, as many as may go in a minute: one more may when the oldest of them is a minute ago. */
struct window {
    uint64_t *times_ns;
    uint32_t size; /* 0: no limit */
    uint32_t next; /* the oldest, to be replaced */
};

struct kind {
    char fingerprint[ROLLBAR_FINGERPRINT_SIZE]; /* "": unused */
    uint64_t last_ns;
    uint64_t suppressed;
    struct window window;
};

struct rollbar_limit {
    struct window all;
    struct kind kinds[ROLLBAR_LIMIT_KINDS];
};

static bool window_init(struct window *window, uint32_t size)
{
    window->size = size;
    window->times_ns = size > 0 ? calloc(size, sizeof(*window->times_ns)) : NULL;
    return size == 0 || window->times_ns != NULL;
}

static bool window_has_room(const struct window *window, uint64_t now_ns)
{
    if (window->size == 0)
        return true;
    uint64_t oldest_ns = window->times_ns[window->next];
    return oldest_ns == 0 || now_ns - oldest_ns >= MINUTE_NS;
}

static void window_add(struct window *window, uint64_t now_ns)
{
    if (window->size == 0)
        return;
    window->times_ns[window->next] = now_ns;
    window->next = (window->next + 1) % window->size;
}

static void window_clear(struct window *window)
{
    if (window->size > 0)
        memset(window->times_ns, 0, window->size * sizeof(*window->times_ns));
    window->next = 0;
}

struct rollbar_limit *rollbar_limit_new(uint32_t per_minute, uint32_t per_fingerprint)
{
    struct rollbar_limit *limit = calloc(1, sizeof(*limit));

    if (limit == NULL)
        return NULL;
    bool is_whole = window_init(&limit->all, per_minute);
    for (size_t i = 0; i < ROLLBAR_LIMIT_KINDS; i++)
        is_whole &= window_init(&limit->kinds[i].window, per_fingerprint);
    if (is_whole)
        return limit;
    rollbar_limit_free(limit);
    return NULL;
}

void rollbar_limit_free(struct rollbar_limit *limit)
{
    if (limit == NULL)
        return;
    for (size_t i = 0; i < ROLLBAR_LIMIT_KINDS; i++)
        free(limit->kinds[i].window.times_ns);
    free(limit->all.times_ns);
    free(limit);
}

/* The one with this fingerprint, made of the one unused for longest if need be. */
static struct kind *find_kind(struct rollbar_limit *limit, const char *fingerprint)
{
    struct kind *oldest = &limit->kinds[0];

    for (size_t i = 0; i < ROLLBAR_LIMIT_KINDS; i++) {
        struct kind *kind = &limit->kinds[i];

        if (strcmp(kind->fingerprint, fingerprint) == 0)
            return kind;
        if (kind->last_ns < oldest->last_ns)
            oldest = kind;
    }
    (void)snprintf(oldest->fingerprint, sizeof(oldest->fingerprint), "%s", fingerprint);
    oldest->suppressed = 0;
    window_clear(&oldest->window);
    return oldest;
}

bool rollbar_limit_pass(struct rollbar_limit *limit, const char *fingerprint, uint64_t now_ns, uint64_t *ret_suppressed)
{
    struct kind *kind = find_kind(limit, fingerprint);

    kind->last_ns = now_ns;
    if (!window_has_room(&limit->all, now_ns) || !window_has_room(&kind->window, now_ns)) {
        kind->suppressed++;
        return false;
    }
    window_add(&limit->all, now_ns);
    window_add(&kind->window, now_ns);
    *ret_suppressed = kind->suppressed;
    kind->suppressed = 0;
    return true;
}
