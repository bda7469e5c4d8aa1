/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/flushes.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"

#include <stdio.h>
#include <stdlib.h>

struct flush {
    struct flush *next;
    struct flushes *all;
    struct flushes_mark mark;
    uint64_t exported_before, dropped_before;
    bool was_tried; /* something was sent since its call */
    struct loop_timer timer;
    destinations_flush_done *done;
    void *arg;
};

static bool is_reached(const struct flush *flush)
{
    return flush->all->owner.is_reached(flush->all->owner.arg, &flush->mark);
}

static void end(struct flush *flush, const char *error)
{
    struct flushes_owner *owner = &flush->all->owner;
    struct flush **link = &flush->all->first;

    while (*link != flush)
        link = &(*link)->next;
    *link = flush->next;
    loop_timer_clear(owner->loop, &flush->timer);
    owner->ended(owner->arg);

    struct flushes_counts counts = owner->count(owner->arg);
    struct destinations_flushed flushed = {
        .exported = counts.exported - flush->exported_before,
        .failed = counts.dropped - flush->dropped_before,
    };
    if (!is_reached(flush))
        flushed.failed += counts.waiting;
    if (flushed.failed > 0)
        (void)snprintf(flushed.error, sizeof(flushed.error), "%s", error != NULL ? error : counts.error);
    flush->done(flush->arg, &flushed);
    free(flush);
}

static void on_timeout(void *arg)
{
    end(arg, "the receiver did not answer in time");
}

void flushes_add(struct flushes *flushes, const struct flushes_mark *mark, uint32_t timeout_ms,
                 destinations_flush_done *done, void *arg)
{
    struct flushes_counts counts = flushes->owner.count(flushes->owner.arg);
    struct flush *flush = calloc(1, sizeof(*flush));

    if (flush == NULL) {
        done(arg, &(struct destinations_flushed){.failed = counts.waiting, .error = "out of memory"});
        return;
    }
    *flush = (struct flush){
        .next = flushes->first,
        .all = flushes,
        .mark = *mark,
        .exported_before = counts.exported,
        .dropped_before = counts.dropped,
        .timer = {.fn = on_timeout, .arg = flush},
        .done = done,
        .arg = arg,
    };
    flushes->first = flush;
    if (is_reached(flush))
        end(flush, NULL);
    else
        (void)loop_timer_set(flushes->owner.loop, &flush->timer, timeout_ms * NS_PER_MS);
}

void flushes_note_attempt(struct flushes *flushes)
{
    for (struct flush *flush = flushes->first; flush != NULL; flush = flush->next)
        flush->was_tried = true;
}

void flushes_lead(struct flushes *flushes, uint64_t start, int64_t id)
{
    for (struct flush *flush = flushes->first; flush != NULL; flush = flush->next)
        if (start < flush->mark.position)
            flush->mark.id = id;
}

void flushes_end(struct flushes *flushes, bool has_failed)
{
    struct flush *next;

    for (struct flush *flush = flushes->first; flush != NULL; flush = next) {
        next = flush->next;
        if (is_reached(flush) || (has_failed && flush->was_tried))
            end(flush, NULL);
    }
}

void flushes_end_all(struct flushes *flushes, const char *error)
{
    while (flushes->first != NULL)
        end(flushes->first, error);
}
