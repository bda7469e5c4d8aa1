/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ring.h"

#include "preload/process.h"
#include "tests/support/shim_core.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOTS = 128, CELLS = 64 };

static struct wire_ring *ring; /* of the test that runs */
static uint64_t setup_ns;      /* when it was made */

static uint64_t wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int setup(void **state)
{
    (void)state;
    setup_ns = wall_ns();
    ring = shim_core_ring(3, SLOTS, CELLS);
    return ring ? 0 : -1;
}

static uint64_t dropped(enum wire_drop cause)
{
    return atomic_load(&shim_core_lane(ring, 0)->dropped[cause]);
}

/* Bytes that tell a record of this length, and where in it, from all others. */
static void fill(uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at < length; at++)
        bytes[at] = (uint8_t)(at * 7 + length);
}

static bool write_bytes(size_t length)
{
    uint8_t bytes[WIRE_RECORD_MAX];

    fill(bytes, length);
    return ring_write(WIRE_RECORD_REQUEST, bytes, length, NULL);
}

/* The next record of lane 0 is whole and has this length. */
static void assert_taken(size_t length)
{
    union shim_record record;
    uint8_t expected[WIRE_RECORD_MAX];
    size_t taken = 0;

    fill(expected, length);
    assert_int_equal(shim_core_take(ring, 0, &record, &taken), WIRE_RECORD_REQUEST);
    assert_int_equal(taken, length);
    assert_memory_equal(record.bytes, expected, length);
}

static void assert_none_ready(void)
{
    union shim_record record;
    size_t length;

    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
}

static void test_ring_describes_itself(void **state)
{
    uint64_t size = ring_size(&(struct ring_geometry){3, SLOTS, CELLS, SHIM_CORE_COPIES});

    (void)state;
    assert_int_equal(ring->magic, WIRE_MAGIC);
    assert_int_equal(ring->version, WIRE_VERSION);
    assert_int_equal(ring->mapping_size, size);
    assert_int_equal(ring->copies_offset, ring->header_size + 3 * ring->lane_stride);
    assert_int_equal(ring->copies_offset + SHIM_CORE_COPIES * WIRE_CRASH_COPY_SIZE, size);
    assert_true(ring->slots_offset >= sizeof(struct wire_lane));
    assert_int_equal(ring->cells_offset, ring->slots_offset + SLOTS * WIRE_SLOT_SIZE);
    assert_int_equal(ring->crash_offset, ring->cells_offset + CELLS * WIRE_CELL_SIZE);
    assert_int_equal(ring->lane_stride, ring->crash_offset + WIRE_PAGE);
    assert_in_range(ring->anchor_wall_ns, setup_ns, wall_ns());
    assert_int_equal(ring_wall_seconds(ring->anchor_mono_ns + 5000000000u), ring->anchor_wall_ns / 1000000000u + 5);
}

static void test_ring_has_room_for_a_crash_in_each_lane(void **state)
{
    uint32_t first = 0;
    uint32_t second = 0;
    uint32_t none = 0;

    (void)state;
    shim_core_crash(ring, 0)->state = WIRE_CRASH_DONE; /* of the lane's former owner */
    assert_ptr_equal(ring_crash(), shim_core_crash(ring, 0));
    assert_int_equal(ring_crash()->state, WIRE_CRASH_NONE);

    char *area = ring_copy_take(&first);
    assert_ptr_equal(area, (char *)ring + ring->copies_offset);
    assert_ptr_equal(ring_copy_take(&second), area + WIRE_CRASH_COPY_SIZE);
    assert_int_equal(first, 1);
    assert_int_equal(second, 2);
    assert_int_equal(ring->copy_owner[0], 1); /* the lane's number plus one */
    assert_null(ring_copy_take(&none));

    ring->copy_owner[1] = 0; /* as the agent does */
    assert_ptr_equal(ring_copy_take(&none), area + WIRE_CRASH_COPY_SIZE);
}

static void test_ring_claims_a_lane_when_it_needs_one(void **state)
{
    struct wire_lane *first = shim_core_lane(ring, 0);

    (void)state;
    assert_int_equal(first->owner, 0);
    ring_count(WIRE_COUNT_REQUESTS);
    assert_int_equal(first->owner, getpid());
    assert_true(first->claimed_boot_ns > 0);
    assert_int_equal(first->counted[WIRE_COUNT_REQUESTS], 1);
    ring_drop(WIRE_DROP_BLIND);
    ring_drop(WIRE_DROP_BLIND);
    assert_int_equal(dropped(WIRE_DROP_BLIND), 2);
    assert_ptr_equal(ring_lane(), first);
    assert_int_equal(shim_core_lane(ring, 1)->owner, 0);
}

static void test_ring_keeps_a_lanes_generation(void **state)
{
    struct wire_lane *first = shim_core_lane(ring, 0);

    (void)state;
    atomic_store(&first->owner, UINT64_C(7) << 32);
    assert_ptr_equal(ring_lane(), first);
    assert_int_equal(first->owner, UINT64_C(7) << 32 | (uint32_t)getpid());
}

static void test_ring_does_without_a_lane(void **state)
{
    uint8_t byte = 1;

    (void)state;
    for (uint32_t lane = 0; lane < 3; lane++)
        atomic_store(&shim_core_lane(ring, lane)->owner, 1000 + lane);
    assert_null(ring_lane());
    assert_null(ring_slot_take());
    assert_false(ring_write(WIRE_RECORD_REQUEST, &byte, 1, NULL));
    ring_count(WIRE_COUNT_REQUESTS);
    ring_drop(WIRE_DROP_BLIND);
    ring_before_sandbox();
    for (uint32_t lane = 0; lane < 3; lane++)
        assert_int_equal(shim_core_lane(ring, lane)->owner, 1000 + lane);
    atomic_store(&shim_core_lane(ring, 2)->owner, UINT64_C(1) << 32); /* the agent gave one back */
    assert_ptr_equal(ring_lane(), shim_core_lane(ring, 2));
}

static void test_ring_slots_run_out_and_come_back(void **state)
{
    struct wire_slot *slots[SLOTS];

    (void)state;
    for (uint32_t i = 0; i < SLOTS; i++) {
        slots[i] = ring_slot_take();
        assert_ptr_equal(slots[i], shim_core_slot(ring, 0, i));
        assert_int_equal(slots[i]->index, i);
    }
    assert_int_equal(shim_core_slots_used(ring, 0), SLOTS);
    assert_null(ring_slot_take());
    assert_int_equal(dropped(WIRE_DROP_NO_SLOT), 1);
    atomic_store(&slots[77]->open, 1);
    atomic_store(&slots[77]->record_position, 5);
    ring_slot_release(slots[77]);
    assert_int_equal(slots[77]->open, 0); /* before its bit: a free slot is never open */
    assert_int_equal(shim_core_slots_used(ring, 0), SLOTS - 1);
    assert_ptr_equal(ring_slot_take(), slots[77]);
    assert_int_equal(slots[77]->record_position, 0);
    for (uint32_t i = 0; i < SLOTS; i++)
        ring_slot_release(slots[i]);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
}

static void test_ring_writes_records_of_every_size(void **state)
{
    (void)state;
    for (size_t length = 0; length <= WIRE_RECORD_MAX - sizeof(struct wire_record); length++) {
        assert_true(write_bytes(length));
        assert_taken(length);
    }
    assert_false(ring_write(WIRE_RECORD_REQUEST, ring, WIRE_RECORD_MAX - sizeof(struct wire_record) + 1, NULL));
    assert_none_ready();
    assert_true(atomic_load(&shim_core_lane(ring, 0)->head) > 10 * CELLS); /* many laps */
}

static void test_ring_tells_a_slot_where_its_record_is(void **state)
{
    struct wire_slot *slot = ring_slot_take();
    uint8_t byte = 1;

    (void)state;
    assert_true(write_bytes(600));
    assert_true(ring_write(WIRE_RECORD_REQUEST, &byte, 1, slot));
    assert_int_equal(slot->record_position, 2 + 1);
}

static void test_ring_drops_when_full(void **state)
{
    struct wire_slot *slot = ring_slot_take();
    uint8_t byte = 1;

    (void)state;
    for (int i = 0; i < CELLS - 1; i++)
        assert_true(write_bytes(10));
    assert_false(write_bytes(WIRE_CELL_PAYLOAD)); /* two cells, one is left */
    assert_true(write_bytes(10));
    assert_false(write_bytes(10));
    assert_false(ring_write(WIRE_RECORD_REQUEST, &byte, 1, slot));
    assert_int_equal(slot->record_position, 0);
    assert_int_equal(dropped(WIRE_DROP_RING_FULL), 3);
    assert_int_equal(shim_core_lane(ring, 0)->head, CELLS);
    for (int i = 0; i < CELLS; i++)
        assert_taken(10);
    assert_none_ready();
    assert_true(write_bytes(WIRE_CELL_PAYLOAD));
    assert_taken(WIRE_CELL_PAYLOAD);
}

/* A thread that is interrupted after it has read the head finds the agent's tail ahead of it. */
static void test_ring_with_an_old_head_is_not_full(void **state)
{
    (void)state;
    atomic_store(&shim_core_lane(ring, 0)->tail, 1);
    assert_true(write_bytes(10));
    assert_int_equal(dropped(WIRE_DROP_RING_FULL), 0);
}

/* The agent may take a cell that was reserved and not begun: its record is lost, the ones around it are not. */
static void test_ring_gives_up_what_was_skipped(void **state)
{
    (void)state;
    assert_true(write_bytes(1));
    atomic_store(&shim_core_cell(ring, 0, 1)->state, wire_cell_word(1, CELLS, WIRE_CELL_FREE));
    assert_false(write_bytes(2));
    assert_int_equal(dropped(WIRE_DROP_CELL_LOST), 1);
    assert_true(write_bytes(3));
    assert_taken(1);
    assert_taken(3);
    assert_none_ready();
}

/* In the middle of a record: its first cell is marked as given up, so that nobody waits for it. */
static void test_ring_gives_up_a_begun_record(void **state)
{
    (void)state;
    assert_true(write_bytes(1));
    atomic_store(&shim_core_cell(ring, 0, 2)->state, wire_cell_word(2, CELLS, WIRE_CELL_FREE));
    assert_false(write_bytes(WIRE_CELL_PAYLOAD)); /* cells 1 and 2 */
    assert_int_equal(shim_core_cell(ring, 0, 1)->state, wire_cell_word(1, CELLS, WIRE_CELL_FREE));
    assert_int_equal(dropped(WIRE_DROP_CELL_LOST), 1);
    assert_true(write_bytes(3));
    assert_taken(1);
    assert_taken(3);
    assert_none_ready();
}

/* A writer that hangs in a cell since the lap before keeps it; so does one that came back too late. */
static void test_ring_leaves_a_held_cell_alone(void **state)
{
    static const enum wire_cell_state held[] = {WIRE_CELL_WRITING, WIRE_CELL_READY};
    struct wire_lane *lane = ring_lane();

    (void)state;
    atomic_store(&lane->head, CELLS);
    atomic_store(&lane->tail, CELLS);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t before = wire_cell_word(i, CELLS, held[i]);

        atomic_store(&shim_core_cell(ring, 0, i)->state, before);
        assert_false(write_bytes(5));
        assert_int_equal(shim_core_cell(ring, 0, i)->state, before);
    }
    assert_int_equal(dropped(WIRE_DROP_CELL_LOST), 2);
    atomic_store(&shim_core_cell(ring, 0, 2)->state, wire_cell_word(2, CELLS, WIRE_CELL_CONSUMED));
    atomic_store(&shim_core_cell(ring, 0, 3)->state, wire_cell_word(3, CELLS, WIRE_CELL_FREE));
    atomic_store(&lane->tail, CELLS + 2);
    assert_true(write_bytes(6)); /* consumed, and skipped, a lap ago */
    assert_true(write_bytes(7));
    assert_taken(6);
    assert_taken(7);
}

/* A process that lives long: the lap's number has outgrown the 30 bits that a cell has for it. */
static void test_ring_goes_on_when_laps_wrap(void **state)
{
    struct wire_lane *lane = ring_lane();
    uint64_t position = ((UINT64_C(1) << 30) - 2) * CELLS;

    (void)state;
    atomic_store(&lane->head, position);
    atomic_store(&lane->tail, position);
    for (size_t i = 0; i < 4 * CELLS; i++) {
        assert_true(write_bytes(i));
        assert_taken(i);
    }
    assert_int_equal(dropped(WIRE_DROP_CELL_LOST), 0);
}

/* Waits like the agent until it is woken, but not for ever. */
static void *sleep_like_the_agent(void *arg)
{
    const struct timespec patience = {.tv_sec = 60};
    long result = syscall(SYS_futex, &ring->asleep, FUTEX_WAIT, 1, &patience, NULL, 0);

    (void)arg;
    return (void *)(uintptr_t)(result == 0 || errno == EAGAIN);
}

static void test_ring_wakes_a_sleeping_agent(void **state)
{
    pthread_t agent;
    void *woken;

    (void)state;
    assert_non_null(ring_lane());
    atomic_store(&ring->asleep, 1);
    assert_int_equal(pthread_create(&agent, NULL, sleep_like_the_agent, NULL), 0);
    assert_true(write_bytes(5));
    assert_int_equal(ring->asleep, 0);
    pthread_join(agent, &woken);
    assert_true(woken);
    atomic_store(&ring->asleep, 1);
    ring_adopt(ring);
    atomic_store(&shim_core_lane(ring, 0)->owner, 0);
    assert_non_null(ring_lane()); /* a claim wakes it as well: we are to be watched from now on */
    assert_int_equal(ring->asleep, 0);
}

static void test_ring_is_quiet_in_a_sandbox(void **state)
{
    (void)state;
    assert_non_null(ring_lane());
    atomic_store(&ring->asleep, 1);
    ring_before_sandbox(); /* the last chance to tell */
    assert_int_equal(ring->asleep, 0);
    assert_int_equal(ring_lane()->cannot_wake, 1);
    atomic_store(&process_sandboxed, 1);
    atomic_store(&ring->asleep, 1);
    assert_true(write_bytes(5));
    assert_int_equal(ring->asleep, 1);
    ring_adopt(ring);
    atomic_store(&shim_core_lane(ring, 0)->owner, 0);
    atomic_store(&shim_core_lane(ring, 0)->cannot_wake, 0);
    assert_int_equal(ring_lane()->cannot_wake, 1); /* a lane claimed inside one says so from the start */
    atomic_store(&process_sandboxed, 0);
}

/* A new mapping (a change of user) while requests are open in the former one. */
static void test_ring_releases_slots_of_the_ring_before(void **state)
{
    struct wire_ring *before = ring;
    struct wire_slot *old = ring_slot_take();
    struct wire_slot *fresh;

    (void)state;
    (void)ring_slot_take();
    ring = shim_core_ring(1, 64, CELLS); /* another geometry too */
    fresh = ring_slot_take();
    assert_ptr_equal(fresh, shim_core_slot(ring, 0, 0));
    ring_slot_release(old);
    assert_int_equal(shim_core_slots_used(before, 0), 1);
    assert_int_equal(shim_core_slots_used(ring, 0), 1);
    assert_true(write_bytes(9));
    assert_int_equal(shim_core_lane(before, 0)->head, 0);
    assert_taken(9);
}

static void in_child(void (*run)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        process_check_fork();
        run();
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void write_and_hold(void)
{
    if (!write_bytes(20) || !ring_slot_take())
        _exit(1);
}

static void test_ring_gives_a_forks_child_its_own_lane(void **state)
{
    struct wire_slot *ours = ring_slot_take();

    (void)state;
    in_child(write_and_hold);
    assert_int_equal(shim_core_lane(ring, 0)->head, 0);
    assert_int_equal(shim_core_lane(ring, 1)->head, 1);
    assert_int_not_equal(shim_core_lane(ring, 1)->owner, getpid());
    assert_int_equal(shim_core_slots_used(ring, 1), 1);
    assert_ptr_equal(ring_lane(), shim_core_lane(ring, 0));
    ring_slot_release(ours);
    in_child(write_and_hold);
    assert_int_equal(shim_core_lane(ring, 2)->head, 1);
}

/* Its record stands in the child's lane: the parent's slot must not point at it. */
static void end_the_parents_request(void)
{
    struct wire_slot *slot = shim_core_slot(ring, 0, 0);
    uint8_t byte = 1;

    if (ring_slot_is_own(slot) || !ring_write(WIRE_RECORD_REQUEST, &byte, 1, slot) || slot->record_position != 0)
        _exit(1);
    ring_slot_release(slot);
}

static void test_ring_releases_a_slot_of_the_parent(void **state)
{
    (void)state;
    assert_true(ring_slot_is_own(ring_slot_take()));
    in_child(end_the_parents_request);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
    assert_int_equal(shim_core_lane(ring, 1)->head, 1);
}

static void find_no_lane(void)
{
    if (ring_lane() || write_bytes(3) || ring_slot_take())
        _exit(1);
}

static void test_ring_leaves_a_child_without_a_lane_alone(void **state)
{
    (void)state;
    ring = shim_core_ring(1, SLOTS, CELLS);
    assert_non_null(ring_lane());
    in_child(find_no_lane);
    assert_int_equal(shim_core_lane(ring, 0)->head, 0);
    assert_int_equal(shim_core_lane(ring, 0)->owner, getpid());
}

enum { THREADS = 4, TURNS = 5000 };

static pthread_barrier_t barrier;
static _Atomic unsigned written[THREADS];

/* Slots and records as requests use them; each record says whose it is. */
static void *serve(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;

    pthread_barrier_wait(&barrier); /* all of them claim the lane at once */
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        struct wire_slot *slot = ring_slot_take();
        uint32_t numbers[250];

        for (size_t i = 0; i < 250; i++)
            numbers[i] = self << 24 | turn;
        if (slot)
            memcpy(slot->request, numbers, sizeof(numbers));
        if (slot && ring_write(WIRE_RECORD_REQUEST, slot->request, 4 + turn * 16 % 996, slot))
            atomic_fetch_add(&written[self], 1);
        if (slot)
            ring_slot_release(slot);
    }
    return NULL;
}

/* All its numbers are one, and come in its thread's order. */
static void check_record(const union shim_record *record, size_t length, uint32_t next[THREADS])
{
    uint32_t numbers[WIRE_RECORD_MAX / 4];

    memcpy(numbers, record->bytes, length);
    for (size_t i = 1; i < length / 4; i++)
        assert_int_equal(numbers[i], numbers[0]);
    assert_true((numbers[0] >> 24) < THREADS);
    assert_true((numbers[0] & 0xffffff) >= next[numbers[0] >> 24]);
    next[numbers[0] >> 24] = (numbers[0] & 0xffffff) + 1;
}

static void test_ring_serves_threads_at_once(void **state)
{
    pthread_t threads[THREADS];
    uint32_t next[THREADS] = {0};
    uint64_t taken = 0, expected = 0;
    union shim_record record;
    size_t length;
    bool done = false;

    (void)state;
    memset((void *)written, 0, sizeof(written));
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, serve, (void *)i), 0);
    while (!done) { /* once more after the last has ended */
        done = atomic_load(&written[0]) + atomic_load(&written[1]) + atomic_load(&written[2]) +
                   atomic_load(&written[3]) + dropped(WIRE_DROP_RING_FULL) ==
               THREADS * TURNS;
        for (; shim_core_take(ring, 0, &record, &length) != WIRE_RECORD_NONE; taken++)
            check_record(&record, length, next);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        expected += written[i];
    }
    assert_int_equal(taken, expected);
    assert_true(taken > 0);
    assert_int_equal(dropped(WIRE_DROP_CELL_LOST), 0);
    assert_int_equal(dropped(WIRE_DROP_NO_SLOT), 0);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
    assert_int_equal(shim_core_lane(ring, 1)->owner & UINT32_MAX, 0); /* who lost the race gave its lane back */
    assert_int_equal(shim_core_lane(ring, 1)->claimed_boot_ns, 0);    /* and left no time for the next owner */
    assert_int_not_equal(shim_core_lane(ring, 0)->claimed_boot_ns, 0);
    pthread_barrier_destroy(&barrier);
}

static _Atomic bool is_over;

static void *write_on(void *arg)
{
    pthread_barrier_wait(&barrier);
    while (!atomic_load(&is_over))
        (void)write_bytes(5);
    return arg;
}

/* Nothing stands where a writer that took it for a ring of another geometry would have put it. */
static void assert_written_in_place(struct wire_ring *written_ring)
{
    for (uint32_t i = 0; i < written_ring->lane_count; i++) {
        struct wire_lane *lane = shim_core_lane(written_ring, i);
        const uint64_t *slots = (const void *)((const uint8_t *)lane + written_ring->slots_offset);
        const struct wire_cell *cells = (const void *)((const uint8_t *)lane + written_ring->cells_offset);

        for (uint64_t at = 0; at < (written_ring->cells_offset - written_ring->slots_offset) / sizeof(*slots); at++)
            assert_true(slots[at] == 0);
        for (uint64_t cell = lane->head; cell < written_ring->cell_count; cell++)
            assert_true(cells[cell].state == 0);
    }
}

/* A fork's child with threads changes its user, and can make only a smaller ring, or may make a larger one. */
static void test_ring_is_changed_under_threads(void **state)
{
    enum { ROUNDS = 150, WRITERS = 2, FEW = 64, MANY = 256, ALL = 1024 };
    pthread_t threads[WRITERS];

    (void)state;
    pthread_barrier_init(&barrier, NULL, WRITERS + 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct wire_ring *before = shim_core_ring(WRITERS + 1, round % 2 ? FEW : MANY, ALL), *after;
        bool fits;

        atomic_store(&is_over, false);
        for (int i = 0; i < WRITERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, write_on, NULL), 0);
        pthread_barrier_wait(&barrier);
        after = shim_core_ring(WRITERS + 1, round % 2 ? MANY : FEW, ALL);
        (void)write_bytes(5);
        fits = ring_has((uintptr_t)ring_lane());
        atomic_store(&is_over, true);
        for (int i = 0; i < WRITERS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(fits);
        assert_written_in_place(before);
        assert_written_in_place(after);
        ring_adopt(NULL);
        assert_int_equal(munmap(before, before->mapping_size), 0);
        assert_int_equal(munmap(after, after->mapping_size), 0);
    }
    pthread_barrier_destroy(&barrier);
}

static void test_ring_does_nothing_before_it_is_there(void **state)
{
    (void)state;
    ring_adopt(NULL);
    assert_null(ring_current());
    assert_null(ring_lane());
    assert_null(ring_slot_take());
    assert_false(write_bytes(3));
    assert_int_equal(ring_wall_seconds(1), 0);
    ring_before_sandbox();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_ring_does_nothing_before_it_is_there),
        TEST(test_ring_describes_itself),
        TEST(test_ring_has_room_for_a_crash_in_each_lane),
        TEST(test_ring_claims_a_lane_when_it_needs_one),
        TEST(test_ring_keeps_a_lanes_generation),
        TEST(test_ring_does_without_a_lane),
        TEST(test_ring_slots_run_out_and_come_back),
        TEST(test_ring_writes_records_of_every_size),
        TEST(test_ring_tells_a_slot_where_its_record_is),
        TEST(test_ring_drops_when_full),
        TEST(test_ring_with_an_old_head_is_not_full),
        TEST(test_ring_gives_up_what_was_skipped),
        TEST(test_ring_gives_up_a_begun_record),
        TEST(test_ring_leaves_a_held_cell_alone),
        TEST(test_ring_goes_on_when_laps_wrap),
        TEST(test_ring_wakes_a_sleeping_agent),
        TEST(test_ring_is_quiet_in_a_sandbox),
        TEST(test_ring_releases_slots_of_the_ring_before),
        TEST(test_ring_gives_a_forks_child_its_own_lane),
        TEST(test_ring_releases_a_slot_of_the_parent),
        TEST(test_ring_leaves_a_child_without_a_lane_alone),
        TEST(test_ring_serves_threads_at_once),
        TEST(test_ring_is_changed_under_threads),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
