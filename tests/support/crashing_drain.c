/* SPDX-License-Identifier: Apache-2.0 */
/* In place of drain_lane() in the agent of one test: its worker crashes of each ring of the user CRASH_OF_UID. */
#include "exporters/agent/drain.h"
#include "exporters/agent/source.h"

#include <stdlib.h>

size_t __real_drain_lane(struct source *source, uint32_t lane, uint64_t now_ns);
size_t __wrap_drain_lane(struct source *source, uint32_t lane, uint64_t now_ns);

size_t __wrap_drain_lane(struct source *source, uint32_t lane, uint64_t now_ns)
{
    const char *uid = getenv("CRASH_OF_UID");

    if (uid && strtoul(uid, NULL, 10) == source->uid)
        abort();
    return __real_drain_lane(source, lane, now_ns);
}
