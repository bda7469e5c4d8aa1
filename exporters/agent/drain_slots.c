/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/drain_internal.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/source.h"
#include "preload/wire.h"

#include <string.h>

/* what a dead process leaves */

/* Was the record that this slot names taken? Positions a lap or more behind the tail were. */
static bool record_was_taken(const struct source *source, uint32_t lane, uint64_t record_position)
{
    uint64_t position = record_position - 1;
    uint32_t state;

    if (record_position == 0 || position >= source->lanes[lane].tail)
        return false;
    if (source->lanes[lane].tail - position > source->cell_count)
        return true;
    state = atomic_load(&source_cell(source, lane, position)->state);
    return state == 0 || /* read, and its memory given back since: what was stepped over has a mark */
           state == wire_cell_word(position, source->cell_count, WIRE_CELL_CONSUMED) ||
           state >> 2 > wire_cell_word(position, source->cell_count, WIRE_CELL_FREE) >> 2;
}

/* Is it for us to end the request of the dead owner? From then on no other process that shares it will. */
static bool claim_slot(struct wire_slot *slot)
{
    uint32_t open = WIRE_SLOT_OPEN;

    return atomic_compare_exchange_strong(&slot->open, &open, WIRE_SLOT_ENDING) || open == WIRE_SLOT_ENDING;
}

/* One more text, if it fits. */
static void add_text(struct drain_record *record, enum wire_text id, const char *text)
{
    struct wire_request *request = (struct wire_request *)(void *)record->payload;
    size_t used = sizeof(*request) + request->text_length;
    uint16_t length = (uint16_t)strlen(text);

    if (used + 4 + length > sizeof(record->payload))
        return;
    record->payload[used] = (uint8_t)id;
    record->payload[used + 1] = 0;
    memcpy(record->payload + used + 2, &length, sizeof(length));
    memcpy(record->payload + used + 4, text, length);
    request->text_length = (uint16_t)(request->text_length + 4 + length);
}

/* The open request of a slot as a record; false when there is none. */
static bool copy_slot(struct wire_slot *slot, uint64_t end_ns, const char *fate, struct drain_record *ret_record)
{
    struct wire_request *request = (struct wire_request *)(void *)ret_record->payload;

    if (!claim_slot(slot))
        return false;
    memcpy(ret_record->payload, slot->request, sizeof(slot->request));
    if (request->text_length > WIRE_SLOT_TEXT)
        return false;
    if ((request->flags & WIRE_REQUEST_AFTER_CLOSE) && request->first_byte_ns == 0)
        return false;
    if (request->end_ns == 0) { /* else it had ended, and only its record is missing */
        request->end_ns = end_ns > request->start_ns ? end_ns : request->start_ns;
        request->error = WIRE_ERROR_PROCESS_EXITED;
        if (fate)
            add_text(ret_record, WIRE_TEXT_ERROR_TYPE, fate);
    }
    ret_record->header = (struct wire_record){.type = WIRE_RECORD_REQUEST,
                                              .length = (uint16_t)(sizeof(*request) + request->text_length)};
    return true;
}

/* The slot is closed before it is free: the next owner fills it while it is not open, and may be killed in between. */
void drain_clear_slot(struct source *source, uint32_t lane, uint32_t slot)
{
    atomic_store(&source_slot(source, lane, slot)->open, WIRE_SLOT_CLOSED);
    atomic_fetch_and(&source_lane(source, lane)->slot_map[slot / 64], ~(UINT64_C(1) << slot % 64));
}

/* Would the request's end have made a record? */
static bool is_recorded(const struct source *source, const struct wire_request *request)
{
    if (request->flags & (WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED))
        return true;
    return source->wants_unsampled && !(request->trace_flags & WIRE_TRACE_UNWANTED);
}

static bool drain_slot(struct source *source, uint32_t lane, uint32_t slot, uint64_t end_ns, const char *fate)
{
    struct wire_slot *entry = source_slot(source, lane, slot);
    struct drain_record record;

    if (record_was_taken(source, lane, atomic_load(&entry->record_position)) ||
        !copy_slot(entry, end_ns, fate, &record))
        return false;
    if (!is_recorded(source, (struct wire_request *)(void *)record.payload))
        return false;
    drain_append(source, lane, slot, 0, &record);
    return true;
}

size_t drain_open_requests(struct source *source, uint32_t lane, uint64_t end_ns, const char *fate)
{
    size_t count = 0;

    for (uint32_t word = 0; word < (source->slot_count + 63) / 64; word++) {
        uint64_t bits = atomic_load(&source_lane(source, lane)->slot_map[word]);

        for (; bits; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);

            if (slot >= source->slot_count)
                break;
            if (drain_slot(source, lane, slot, end_ns, fate))
                count++;
            drain_clear_slot(source, lane, slot); /* in the journal now: a restarted worker doesn't do it again */
        }
    }
    source->counts->abandoned_count += count;
    return count;
}

/* what a living one works on */

/* Which request a slot holds. */
struct slot_identity {
    uint64_t start_ns;
    uint8_t span_id[8];
};

static struct slot_identity identity_of(const struct wire_slot *slot)
{
    const struct wire_request *request = (const struct wire_request *)(const void *)slot->request;
    struct slot_identity identity = {.start_ns = request->start_ns};

    memcpy(identity.span_id, request->span_id, sizeof(identity.span_id));
    return identity;
}

/* A copy of the request, if it is the same one before and after: its owner goes on writing. The order matters: the shim
 * closes a slot before it fills it anew, so one that is open after its identity was read holds all of that request, and
 * still holds it if the identity is the same after the copy (a copy may read the end before the beginning). */
static bool copy_open(const struct wire_slot *slot, struct drain_record *ret_record)
{
    const struct wire_request *copy = (const struct wire_request *)(const void *)ret_record->payload;
    struct slot_identity before = identity_of(slot), after;

    atomic_thread_fence(memory_order_acquire);
    /* acquire; pairs with the release store of OPEN in the shim: what stands there is filled. */
    if (atomic_load_explicit(&slot->open, memory_order_acquire) != WIRE_SLOT_OPEN)
        return false;
    memcpy(ret_record->payload, slot->request, sizeof(slot->request));
    atomic_thread_fence(memory_order_acquire);
    after = identity_of(slot);
    return atomic_load_explicit(&slot->open, memory_order_relaxed) == WIRE_SLOT_OPEN && copy->end_ns == 0 &&
           copy->text_length <= WIRE_SLOT_TEXT && before.start_ns == after.start_ns &&
           memcmp(before.span_id, after.span_id, sizeof(before.span_id)) == 0;
}

/* Is this a request that began in that time and that X-Ray is to see before it ends? A request behind one that asked
 * to close the connection counts only once it is answered. */
static bool is_wanted(const struct wire_request *request, const struct drain_overdue *overdue)
{
    if ((request->flags & WIRE_REQUEST_AFTER_CLOSE) && request->first_byte_ns == 0)
        return false;
    return request->kind == WIRE_KIND_SERVER && request->flags & WIRE_REQUEST_XRAY_SAMPLED &&
           request->start_ns > overdue->after_ns && request->start_ns <= overdue->until_ns;
}

static bool tell_slot(struct source *source, uint32_t lane, uint32_t slot, const struct drain_overdue *overdue)
{
    struct drain_record record;
    const struct wire_request *request = (const struct wire_request *)(const void *)record.payload;

    if (!copy_open(source_slot(source, lane, slot), &record) || !is_wanted(request, overdue))
        return false;
    record.header = (struct wire_record){.type = WIRE_RECORD_REQUEST,
                                         .length = (uint16_t)(sizeof(*request) + request->text_length)};
    drain_append(source, lane, JOURNAL_STILL_OPEN, 0, &record);
    return true;
}

size_t drain_overdue_requests(struct source *source, uint32_t lane, const struct drain_overdue *overdue)
{
    size_t count = 0;

    for (uint32_t slot = 0; slot < source->slot_count; slot++) {
        uint64_t bits = atomic_load(&source_lane(source, lane)->slot_map[slot / 64]);

        if (bits >> slot % 64 == 0)
            slot |= 63; /* none from here to the word's end */
        else if (bits >> slot % 64 & 1)
            count += tell_slot(source, lane, slot, overdue);
    }
    return count;
}
