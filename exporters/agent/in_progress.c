/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/in_progress.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A request is told of by so much too late at most. */
static const uint64_t look_ns = 250 * NS_PER_MS;

static struct loop *loop; /* the worker's; set at start */
static struct loop_timer timer;

/* Those that have become overdue since the last look. */
static size_t look_at(struct source *source, uint64_t now_ns)
{
    uint64_t limit_ns = source->in_progress_ms * NS_PER_MS, source_ns = rounds_source_ns(source, now_ns);
    struct drain_overdue overdue = {
        .after_ns = source->in_progress_seen_ns > limit_ns ? source->in_progress_seen_ns - limit_ns : 0,
        .until_ns = source_ns > limit_ns ? source_ns - limit_ns : 0,
    };
    size_t count = 0;

    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        if (source->lanes[lane].process && !source->lanes[lane].dead)
            count += drain_overdue_requests(source, lane, &overdue);
    source->in_progress_seen_ns = source_ns;
    return count;
}

static bool is_looked_at(const struct source *source)
{
    return source->in_progress_ms > 0 && source->map && source->outlets[SIGNAL_TRACES].destinations;
}

static void look(void *arg)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
    bool is_needed = false;

    (void)arg;
    for (struct source *source = intake_first(); source; source = source->next) {
        if (!is_looked_at(source))
            continue;
        uint32_t before = reading_begin(source->id);
        size_t count = look_at(source, now_ns);

        reading_end(before);
        if (count > 0) {
            destinations_wake(source->outlets[SIGNAL_TRACES].destinations);
            rounds_keep_house();
        }
        is_needed = true;
    }
    if (is_needed)
        (void)loop_timer_set(loop, &timer, look_ns);
}

void in_progress_add(struct source *source)
{
    bool is_wanted = source->outlets[SIGNAL_TRACES].destinations &&
                     destinations_want_open(source->outlets[SIGNAL_TRACES].destinations);

    source->in_progress_ms = is_wanted ? source->settings->xray_in_progress_ms : 0;
    if (!is_looked_at(source))
        return;
    if (source->resumed)
        source->in_progress_seen_ns = rounds_source_ns(source, clock_now_ns(CLOCK_MONOTONIC));
    if (!loop_timer_is_set(&timer))
        (void)loop_timer_set(loop, &timer, look_ns);
}

void in_progress_init(struct loop *host_loop)
{
    loop = host_loop;
    timer = (struct loop_timer){.fn = look};
}

void in_progress_deinit(void)
{
    loop_timer_clear(loop, &timer);
}
