/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ring.h"

#include "preload/clock.h"
#include "preload/process.h"
#include "preload/slice.h"
#include "preload/sys.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>

/* A ring, and this process's lane of it: whoever has one of them has the other that fits. */
struct tie {
    struct wire_ring *ring; /* written before the tie is published */
    /* Claimed by the first thread that needs it (compare-and-swap); set to NULL in a fork's child. */
    _Atomic(struct wire_lane *) lane;
};

/* A process changes its ring once at most: what it inherited for its own. So the other tie is nobody's. */
static struct tie ties[2];
/* Written by link.c's one thread (release); read by any hook (acquire). */
static _Atomic(struct tie *) current = &ties[0];
/* So many words of slot maps were ever used: searches go no further. Any thread raises it, relaxed. */
static _Atomic uint32_t words_used;

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Where a lane's crash is, and so how long all before it is. */
static uint64_t crash_offset(const struct ring_geometry *geometry)
{
    return round_up(sizeof(struct wire_lane), WIRE_PAGE) + (uint64_t)geometry->slot_count * WIRE_SLOT_SIZE +
           (uint64_t)geometry->cell_count * WIRE_CELL_SIZE;
}

static uint64_t lane_stride(const struct ring_geometry *geometry)
{
    return crash_offset(geometry) + WIRE_PAGE;
}

static uint64_t copies_offset(const struct ring_geometry *geometry)
{
    return WIRE_PAGE + geometry->lane_count * lane_stride(geometry);
}

uint64_t ring_size(const struct ring_geometry *geometry)
{
    return copies_offset(geometry) + (uint64_t)geometry->copy_count * WIRE_CRASH_COPY_SIZE;
}

void ring_format(struct wire_ring *ring, const struct ring_geometry *geometry)
{
    ring->version = WIRE_VERSION;
    ring->header_size = WIRE_PAGE;
    ring->lane_count = geometry->lane_count;
    ring->slot_count = geometry->slot_count;
    ring->cell_count = geometry->cell_count;
    ring->lane_stride = lane_stride(geometry);
    ring->slots_offset = round_up(sizeof(struct wire_lane), WIRE_PAGE);
    ring->cells_offset = ring->slots_offset + (uint64_t)geometry->slot_count * WIRE_SLOT_SIZE;
    ring->mapping_size = ring_size(geometry);
    ring->crash_offset = crash_offset(geometry);
    ring->copies_offset = copies_offset(geometry);
    ring->copy_count = geometry->copy_count;
    ring->anchor_mono_ns = clock_mono_ns();
    ring->anchor_wall_ns = clock_read_ns(CLOCK_REALTIME);
    ring->magic = WIRE_MAGIC;
}

static inline struct tie *tie_now(void)
{
    return atomic_load_explicit(&current, memory_order_acquire);
}

void ring_adopt(struct wire_ring *ring)
{
    struct tie *next = tie_now() == &ties[0] ? &ties[1] : &ties[0];

    next->ring = ring;
    atomic_store_explicit(&next->lane, NULL, memory_order_relaxed);
    atomic_store_explicit(&current, next, memory_order_release);
}

struct wire_ring *ring_current(void)
{
    return tie_now()->ring;
}

uint64_t ring_wall_seconds(uint64_t mono_ns)
{
    struct wire_ring *ring = ring_current();

    return ring ? (ring->anchor_wall_ns + (mono_ns - ring->anchor_mono_ns)) / 1000000000u : 0;
}

void ring_after_fork(void)
{
    atomic_store_explicit(&tie_now()->lane, NULL, memory_order_release);
}

static struct wire_lane *lane_at(struct wire_ring *ring, uint32_t index)
{
    return (struct wire_lane *)((char *)ring + ring->header_size + index * ring->lane_stride);
}

static struct wire_crash *crash_of(struct wire_ring *ring, struct wire_lane *lane)
{
    return ring->crash_offset ? (struct wire_crash *)((char *)lane + ring->crash_offset) : NULL;
}

static bool lane_claim(struct wire_ring *ring, struct wire_lane *lane, uint32_t pid)
{
    uint64_t owner = atomic_load_explicit(&lane->owner, memory_order_acquire);

    if ((uint32_t)owner != 0)
        return false;
    if (!atomic_compare_exchange_strong_explicit(&lane->owner, &owner, owner | pid, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    /* The memory that a crash will need is there from now on; the agent has read what the former owner left in it. */
    struct wire_crash *crash = crash_of(ring, lane);
    if (crash)
        atomic_store_explicit(&crash->state, WIRE_CRASH_NONE, memory_order_relaxed);
    /* Only the owner may: a loser's older time would make the winner, if it was forked since, look like another process
     * with its number. Until it is there the agent waits. */
    __atomic_store_n(&lane->claimed_boot_ns, clock_read_ns(CLOCK_BOOTTIME), __ATOMIC_RELAXED);
    return true;
}

/* The caller's last store to the ring and this load are sequentially consistent, like the agent's store of 1 and its
 * second look at the ring: one of the two sees the other. */
static void wake(struct wire_ring *ring)
{
    if (atomic_load_explicit(&ring->asleep, memory_order_seq_cst) == 0)
        return;
    if (atomic_load_explicit(&process_sandboxed, memory_order_relaxed))
        return;
    if (atomic_exchange_explicit(&ring->asleep, 0, memory_order_relaxed) != 0)
        (void)sys_call4(SYS_futex, (long)&ring->asleep, FUTEX_WAKE, 1, 0);
}

__attribute__((cold)) static struct wire_lane *lane_find(struct tie *tie)
{
    struct wire_ring *ring = tie->ring;
    struct wire_lane *none = NULL;

    if (!ring)
        return NULL;
    for (uint32_t i = 0; i < ring->lane_count; i++) {
        struct wire_lane *lane = lane_at(ring, i);

        if (!lane_claim(ring, lane, process_pid()))
            continue;
        if (atomic_compare_exchange_strong_explicit(&tie->lane, &none, lane, memory_order_release,
                                                    memory_order_acquire)) {
            if (atomic_load_explicit(&process_sandboxed, memory_order_relaxed))
                atomic_store_explicit(&lane->cannot_wake, 1, memory_order_relaxed);
            wake(ring); /* the agent must watch us from now on, not from our first record */
            return lane;
        }
        /* Another thread of ours was first: give this one back, with the next generation: it has been claimed. */
        uint64_t owner = atomic_load_explicit(&lane->owner, memory_order_relaxed);
        __atomic_store_n(&lane->claimed_boot_ns, 0, __ATOMIC_RELAXED); /* not the next owner's */
        atomic_store_explicit(&lane->owner, ((owner >> 32) + 1) << 32, memory_order_release);
        return none;
    }
    return NULL;
}

static inline struct wire_lane *lane_of(struct tie *tie)
{
    struct wire_lane *lane = atomic_load_explicit(&tie->lane, memory_order_acquire);

    return __builtin_expect(lane != NULL, 1) ? lane : lane_find(tie);
}

static inline struct wire_lane *own_lane(void)
{
    return lane_of(tie_now());
}

struct wire_lane *ring_lane(void)
{
    return own_lane();
}

struct wire_crash *ring_crash(void)
{
    struct tie *tie = tie_now();
    struct wire_lane *lane = lane_of(tie);

    return lane ? crash_of(tie->ring, lane) : NULL;
}

void *ring_copy_take(uint32_t *ret_number)
{
    struct tie *tie = tie_now();
    struct wire_ring *ring = tie->ring;
    struct wire_lane *lane = lane_of(tie);
    uint32_t number = (uint32_t)(((uint64_t)((char *)lane - (char *)ring) - ring->header_size) / ring->lane_stride) + 1;

    for (uint32_t i = 0; i < ring->copy_count; i++) {
        uint32_t nobody = 0;

        if (!atomic_compare_exchange_strong_explicit(&ring->copy_owner[i], &nobody, number, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        *ret_number = i + 1;
        return (char *)ring + ring->copies_offset + (uint64_t)i * WIRE_CRASH_COPY_SIZE;
    }
    return NULL;
}

struct wire_xray_tally *ring_xray_tallies(void)
{
    return ring_current()->xray_tallies;
}

inline void ring_count(enum wire_count what)
{
    struct wire_lane *lane = own_lane();

    if (lane)
        atomic_fetch_add_explicit(&lane->counted[what], 1, memory_order_relaxed);
}

void ring_drop(enum wire_drop cause)
{
    ring_drop_many(cause, 1);
}

void ring_drop_many(enum wire_drop cause, uint32_t count)
{
    struct wire_lane *lane = own_lane();

    if (lane)
        atomic_fetch_add_explicit(&lane->dropped[cause], count, memory_order_relaxed);
}

void ring_withhold(enum wire_withhold reason)
{
    struct wire_lane *lane = own_lane();

    if (lane)
        atomic_fetch_add_explicit(&lane->withheld[reason], 1, memory_order_relaxed);
}

static struct wire_slot *slots_of(struct wire_ring *ring, struct wire_lane *lane)
{
    return (struct wire_slot *)((char *)lane + ring->slots_offset);
}

static void note_word(uint32_t word)
{
    uint32_t used = atomic_load_explicit(&words_used, memory_order_relaxed);

    while (used <= word && !atomic_compare_exchange_weak_explicit(&words_used, &used, word + 1, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

struct wire_slot *ring_slot_take(void)
{
    struct tie *tie = tie_now();
    struct wire_lane *lane = lane_of(tie);
    struct wire_ring *ring = tie->ring;

    if (!lane)
        return NULL;
    for (uint32_t word = 0; word < ring->slot_count / 64; word++) {
        uint64_t map = atomic_load_explicit(&lane->slot_map[word], memory_order_relaxed);

        while (~map != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(~map);

            map = atomic_fetch_or_explicit(&lane->slot_map[word], UINT64_C(1) << bit, memory_order_acquire);
            if (!(map >> bit & 1)) {
                struct wire_slot *slot = &slots_of(ring, lane)[word * 64 + bit];

                note_word(word);
                slot->index = word * 64 + bit;
                atomic_store_explicit(&slot->record_position, 0, memory_order_relaxed);
                return slot;
            }
        }
    }
    ring_drop(WIRE_DROP_NO_SLOT);
    return NULL;
}

struct wire_slot *ring_slot_next(uint32_t *index)
{
    struct tie *tie = tie_now();
    struct wire_lane *lane = lane_of(tie);
    struct wire_ring *ring = tie->ring;
    uint32_t words = atomic_load_explicit(&words_used, memory_order_relaxed);
    uint32_t bit = *index % 64;

    if (!lane)
        return NULL;
    for (uint32_t word = *index / 64; word < words; word++, bit = 0) {
        uint64_t map = atomic_load_explicit(&lane->slot_map[word], memory_order_relaxed) >> bit << bit;

        if (map == 0)
            continue;
        *index = word * 64 + (uint32_t)__builtin_ctzll(map);
        return &slots_of(ring, lane)[*index];
    }
    return NULL;
}

/* Slots come right after the lane's first page, whatever the ring. */
static struct wire_lane *lane_of_slot(struct wire_slot *slot)
{
    return (struct wire_lane *)((char *)(slot - slot->index) - round_up(sizeof(struct wire_lane), WIRE_PAGE));
}

inline bool ring_slot_is_own(struct wire_slot *slot)
{
    return lane_of_slot(slot) == own_lane();
}

inline void ring_slot_release(struct wire_slot *slot)
{
    struct wire_lane *lane = lane_of_slot(slot);

    atomic_store_explicit(&slot->open, WIRE_SLOT_CLOSED, memory_order_relaxed);
    atomic_fetch_and_explicit(&lane->slot_map[slot->index / 64], ~(UINT64_C(1) << (slot->index % 64)),
                              memory_order_release);
}

/* Reserve `parts` of the first so many cells behind the tail; false when they aren't free. */
static bool cells_reserve(struct wire_lane *lane, uint32_t cell_count, uint32_t parts, uint64_t *ret_position)
{
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);

    do {
        /* acquire: what the agent stored into cells it gave back comes before our use of them */
        uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
        /* The tail may be ahead of a head that was read a while ago: the exchange fails then. */
        if ((int64_t)(head + parts - tail) > (int64_t)cell_count)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&lane->head, &head, head + parts, memory_order_seq_cst,
                                                    memory_order_relaxed));
    *ret_position = head;
    return true;
}

/* FREE or CONSUMED of an older lap -> WRITING of this one. False when the agent or a stuck writer has the cell. */
static bool cell_begin(struct wire_cell *cell, uint64_t position, uint32_t cell_count)
{
    uint32_t want = wire_cell_word(position, cell_count, WIRE_CELL_WRITING);
    uint32_t state = atomic_load_explicit(&cell->state, memory_order_acquire);

    if ((state >> 2) == (want >> 2) || (state & 3) == WIRE_CELL_WRITING || (state & 3) == WIRE_CELL_READY)
        return false;
    return atomic_compare_exchange_strong_explicit(&cell->state, &state, want, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* The start of a record's first cell. */
struct head {
    struct slice fixed, more;
};

static inline void head_copy(uint8_t *to, const struct head *head)
{
    slice_copy(to, head->fixed.bytes, head->fixed.length);
    if (head->more.length > 0)
        slice_copy(to + head->fixed.length, head->more.bytes, head->more.length);
}

/* Copy into the cells from `position` on, all but the first one made visible. Returns the number of cells begun. */
static uint32_t cells_fill(struct wire_cell *cells, uint32_t cell_count, uint64_t position, const struct head *head,
                           const char *bytes, size_t left, uint32_t parts)
{
    for (uint32_t part = 0; part < parts; part++) {
        struct wire_cell *cell = &cells[(position + part) & (cell_count - 1)];
        size_t skip = part == 0 ? head->fixed.length + head->more.length : 0;
        size_t take = left < WIRE_CELL_PAYLOAD - skip ? left : WIRE_CELL_PAYLOAD - skip;

        if (!cell_begin(cell, position + part, cell_count))
            return part;
        cell->part = (uint8_t)part;
        cell->parts = (uint8_t)parts;
        cell->length = (uint16_t)(skip + take);
        if (part == 0)
            head_copy(cell->payload, head);
        slice_copy(cell->payload + skip, bytes, take);
        bytes += take;
        left -= take;
        if (part > 0)
            atomic_store_explicit(&cell->state, wire_cell_word(position + part, cell_count, WIRE_CELL_READY),
                                  memory_order_release);
    }
    return parts;
}

/* The next record is probably as long: fetch its cell. Nobody has touched that for a lap of the ring, and whoever
 * writes there would wait for memory. */
static inline void prefetch_cell(const struct wire_cell *cell, size_t length)
{
    for (size_t at = 0; at < length && at < WIRE_CELL_SIZE; at += 64)
        __builtin_prefetch((const char *)cell + at, 1);
}

enum put { PUT_DONE, PUT_NOWHERE, PUT_FULL, PUT_LOST };

/* A record: its head, and what comes after it. It leaves one of so many cells free; 0: none.
 */
__attribute__((always_inline)) static inline enum put put(const struct head *head, const void *bytes, size_t length,
                                                          struct wire_slot *slot, uint32_t spared)
{
    struct tie *tie = tie_now();
    struct wire_lane *lane = lane_of(tie);
    struct wire_ring *ring = tie->ring;
    uint32_t parts =
        (uint32_t)((head->fixed.length + head->more.length + length + WIRE_CELL_PAYLOAD - 1) / WIRE_CELL_PAYLOAD);
    uint64_t position;

    if (!lane || parts > WIRE_RECORD_CELLS_MAX)
        return PUT_NOWHERE;
    if (!cells_reserve(lane, ring->cell_count - (spared ? ring->cell_count / spared : 0), parts, &position))
        return PUT_FULL;

    struct wire_cell *cells = (struct wire_cell *)((char *)lane + ring->cells_offset);
    struct wire_cell *first = &cells[position & (ring->cell_count - 1)];
    uint32_t begun = cells_fill(cells, ring->cell_count, position, head, bytes, length, parts);

    prefetch_cell(&cells[(position + parts) & (ring->cell_count - 1)], head->fixed.length + length);
    if (begun < parts) {
        if (begun > 0) /* given up: as if the agent had skipped it */
            atomic_store_explicit(&first->state, wire_cell_word(position, ring->cell_count, WIRE_CELL_FREE),
                                  memory_order_release);
        return PUT_LOST;
    }
    if (slot && lane_of_slot(slot) == lane)
        atomic_store_explicit(&slot->record_position, position + 1, memory_order_relaxed);
    /* Sequentially consistent, as wake() asks. */
    atomic_store_explicit(&first->state, wire_cell_word(position, ring->cell_count, WIRE_CELL_READY),
                          memory_order_seq_cst);
    wake(ring);
    return PUT_DONE;
}

bool ring_write(enum wire_record_type type, const void *bytes, size_t length, struct wire_slot *slot)
{
    const struct wire_record record = {.type = (uint16_t)type, .length = (uint16_t)length};
    enum put result = put(&(struct head){.fixed = {(const char *)&record, sizeof(record)}}, bytes, length, slot, 0);

    if (result >= PUT_FULL)
        ring_drop(result == PUT_FULL ? WIRE_DROP_RING_FULL : WIRE_DROP_CELL_LOST);
    return result == PUT_DONE;
}

/* A flood of logs costs no request its record: a quarter of the cells is none of theirs. */
enum { LOG_SPARES = 4 };

bool ring_write_log(const struct wire_log *log, const char *path, const void *bytes, size_t length)
{
    struct {
        struct wire_record record;
        struct wire_log log;
    } fixed = {{.type = WIRE_RECORD_LOG, .length = (uint16_t)(sizeof(*log) + log->path_length + length)}, *log};
    const struct head head = {{(const char *)&fixed, sizeof(fixed)}, {path, log->path_length}};

    return put(&head, bytes, length, NULL, LOG_SPARES) == PUT_DONE;
}

void ring_before_sandbox(void)
{
    struct tie *tie = tie_now();
    struct wire_lane *lane = atomic_load_explicit(&tie->lane, memory_order_acquire);

    if (!lane)
        return;
    atomic_store_explicit(&lane->cannot_wake, 1, memory_order_seq_cst);
    wake(tie->ring);
}

bool ring_has(uintptr_t address)
{
    struct wire_ring *ring = ring_current();

    return ring && address - (uintptr_t)ring < ring->mapping_size;
}

void ring_unlock(void)
{
    struct wire_ring *ring = ring_current();

    if (!ring)
        return;
    (void)sys_call2(SYS_munlock, (long)ring, (long)ring->mapping_size);
    for (uint32_t i = 0; i < ring->lane_count; i++) {
        struct wire_lane *lane = lane_at(ring, i);

        /* The lane's first page stays: a claim at this very moment is not lost, and what it writes comes later. */
        if (atomic_load_explicit(&lane->owner, memory_order_acquire) == 0)
            (void)sys_call3(SYS_madvise, (long)((char *)lane + ring->slots_offset),
                            (long)(ring->lane_stride - ring->slots_offset), MADV_REMOVE);
    }
}

void ring_crash_bell(void)
{
    struct wire_ring *ring = ring_current();

    atomic_fetch_add_explicit(&ring->crash_bell, 1, memory_order_seq_cst);
    if (!atomic_load_explicit(&process_sandboxed, memory_order_relaxed))
        (void)sys_call4(SYS_futex, (long)&ring->crash_bell, FUTEX_WAKE, 1, 0);
}
