/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/echo.h"

#include "preload/current.h"
#include "preload/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Any thread, relaxed. A missing print counts as one like any other; a connection hides nothing before it was seen. */
static _Atomic bool is_expected;     /* this process makes requests */
static _Atomic bool threads_send_on; /* a thread, not an event loop, has sent a head other than its own request's */
static _Atomic int hiding;           /* connections */
static _Atomic int early;            /* heads of a process that has made no request yet, but may be about to */
enum { EARLY = 128 };

/* The print of each request by its slot's index. Stored before the slot is open (release), read after it was seen open
 * (acquire). 0: it has come before prints were made, and may be like any other. */
static _Atomic uint64_t prints[WIRE_SLOTS_MAX];

/* By the same index: has a request gone out for it? Any thread, relaxed: a thread that looks too early misses one. */
static _Atomic bool is_passed_on[WIRE_SLOTS_MAX];

/* Requests that have ended although no request went out for them, by the lower bits of their print: the upper bits,
 * and when. Any thread, relaxed; a later one with the same place replaces it. */
enum { LEFT = 1024, TIME_MASK = 0xfff, TIME_SHIFT = 28 /* in units of 0.27 s */, RECENT = 8 };
static _Atomic uint64_t lefts[LEFT];

/* Servers to which a request went for which no head was like it, although it may have been a changed one. By the
 * hash of their address: how many echoes are not believed yet. Any thread, relaxed: one more or less does not
 * matter. */
enum { SERVERS = 256, DOUBTS = 1000 };
static _Atomic uint16_t doubts[SERVERS];

static const struct request_ref nobody;

void echo_expect(void)
{
    if (!atomic_load_explicit(&is_expected, memory_order_relaxed))
        atomic_store_explicit(&is_expected, true, memory_order_relaxed);
}

void echo_hide(int change)
{
    if (change != 0)
        (void)atomic_fetch_add_explicit(&hiding, change, memory_order_relaxed);
}

uint64_t echo_begin(void)
{
    if (!atomic_load_explicit(&is_expected, memory_order_relaxed)) {
        int count = atomic_load_explicit(&early, memory_order_relaxed);

        if (count >= EARLY)
            return 0;
        atomic_store_explicit(&early, count + 1, memory_order_relaxed);
    }
    return ECHO_NEVER + 1;
}

static uint64_t mixed(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* The last bytes, as many as fit, the first of them twice if need be. */
static uint64_t tail_of(struct slice value)
{
    uint64_t word = 0;

    if (value.length >= sizeof(word))
        return slice_load(value.bytes + value.length - sizeof(word), sizeof(word));
    for (size_t i = 0; i < value.length; i++)
        word = word << 8 | (uint8_t)value.bytes[i];
    return word;
}

/* The parts come in any order. The upper half of the print stands for host and user agent, the lower half for path
 * and query. */
uint64_t echo_add(uint64_t print, enum echo_part part, struct slice value, uint32_t number)
{
    uint64_t hash = mixed(part, (uint64_t)number << 32 | value.length), tail = tail_of(value);

    for (; value.length > sizeof(hash); value.bytes += sizeof(hash), value.length -= sizeof(hash))
        hash = mixed(hash, slice_load(value.bytes, sizeof(hash)));
    hash = mixed(hash, tail);
    print ^= part <= ECHO_QUERY ? hash >> 32 : hash >> 32 << 32;
    return print > ECHO_NEVER ? print : ECHO_NEVER + 1;
}

void echo_note(const struct wire_slot *slot, uint64_t print)
{
    atomic_store_explicit(&prints[slot->index % WIRE_SLOTS_MAX], print, memory_order_relaxed);
    atomic_store_explicit(&is_passed_on[slot->index % WIRE_SLOTS_MAX], false, memory_order_relaxed);
}

void echo_was_passed_on(const struct request_ref *ref)
{
    atomic_store_explicit(&is_passed_on[ref->slot->index % WIRE_SLOTS_MAX], true, memory_order_relaxed);
}

void echo_end(const struct wire_slot *slot, uint64_t end_ns)
{
    uint64_t print = atomic_load_explicit(&prints[slot->index % WIRE_SLOTS_MAX], memory_order_relaxed);

    if (print <= ECHO_NEVER || atomic_load_explicit(&is_passed_on[slot->index % WIRE_SLOTS_MAX], memory_order_relaxed))
        return;
    print = (print & ~(uint64_t)TIME_MASK) | (end_ns >> TIME_SHIFT & TIME_MASK);
    atomic_store_explicit(&lefts[print >> 12 & (LEFT - 1)], print, memory_order_relaxed);
}

/* Has a request with the same print ended a moment ago, with none gone out for it? */
static bool was_left(uint64_t print, uint64_t now_ns)
{
    uint64_t found = atomic_load_explicit(&lefts[print >> 12 & (LEFT - 1)], memory_order_relaxed);

    return (found ^ print) <= TIME_MASK && (((now_ns >> TIME_SHIFT) - found) & TIME_MASK) <= RECENT;
}

static bool is_served(struct wire_slot *slot)
{
    return atomic_load_explicit(&slot->open, memory_order_acquire) == WIRE_SLOT_OPEN &&
           wire_slot_request(slot)->kind == WIRE_KIND_SERVER;
}

static bool may_be_alike(uint32_t index, uint64_t print)
{
    uint64_t its = atomic_load_explicit(&prints[index], memory_order_relaxed);

    return its == print || its == 0;
}

/* Does the same client ask the same host for anything? */
static bool is_asked_by_the_same(uint64_t print)
{
    struct wire_slot *slot;

    for (uint32_t index = 0; (slot = ring_slot_next(&index)) != NULL; index++)
        if (atomic_load_explicit(&prints[index], memory_order_relaxed) >> 32 == print >> 32 && is_served(slot))
            return true;
    return false;
}

static _Atomic uint16_t *doubts_about(const struct wire_address *server)
{
    uint64_t hash = mixed(server->family, server->port);

    for (size_t i = 0; i < sizeof(server->ip); i += sizeof(hash))
        hash = mixed(hash, slice_load((const char *)server->ip + i, sizeof(hash)));
    return &doubts[hash >> 32 & (SERVERS - 1)];
}

static bool is_doubted(const struct wire_address *server)
{
    _Atomic uint16_t *left = doubts_about(server);
    uint16_t count = atomic_load_explicit(left, memory_order_relaxed);

    if (count > 0)
        atomic_store_explicit(left, (uint16_t)(count - 1), memory_order_relaxed);
    return count > 0;
}

bool echo_decides(void)
{
    return atomic_load_explicit(&threads_send_on, memory_order_relaxed) && !current_is_loop();
}

struct request_ref echo_find(uint64_t print, const struct wire_address *server, uint64_t now_ns)
{
    struct request_ref found = {0};
    struct wire_slot *slot;

    if (atomic_load_explicit(&hiding, memory_order_relaxed) != 0)
        return nobody;
    for (uint32_t index = 0; (slot = ring_slot_next(&index)) != NULL; index++) {
        /* most slots need no further look. The print is read again, for it may have been another request's before
         * the slot was seen open */
        if (!may_be_alike(index, print) || !is_served(slot) || !may_be_alike(index, print))
            continue;
        if (found.slot)
            return nobody;
        found = request_in(slot);
        if (!current_is_loop())
            atomic_store_explicit(&threads_send_on, true, memory_order_relaxed);
    }
    if (!found.slot && is_asked_by_the_same(print))
        atomic_store_explicit(doubts_about(server), DOUBTS, memory_order_relaxed);
    if (!found.slot || request_answered(found.slot) != 0 || is_doubted(server) || was_left(print, now_ns) ||
        atomic_load_explicit(&prints[found.slot->index % WIRE_SLOTS_MAX], memory_order_relaxed) != print)
        return nobody;
    return request_live(&found) ? found : nobody;
}
