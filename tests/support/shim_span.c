/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/shim_span.h"

#include "preload/config.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct wire_ring *shim_span_ring;
struct span_head shim_span_head;

static const struct wire_address peer = {.family = WIRE_FAMILY_INET, .port = 40000, .ip = {203, 0, 113, 7}};
static const struct wire_address client; /* by the PROXY protocol: none */
static const struct wire_address local = {.family = WIRE_FAMILY_INET, .port = 80, .ip = {127, 0, 0, 1}};
const struct span_ends shim_span_ends = {.kind = WIRE_KIND_SERVER, .peer = &peer, .local = &local, .client = &client};

int shim_span_setup(void **state)
{
    (void)state;
    shim_span_ring = shim_core_ring(1, 64, 64);
    config.client_ip_mode = REDACT_IP_FULL;
    config.query_mode = REDACT_VALUES;
    config.ignored_paths.count = config.ignored_user_agents.count = config.span_limit = 0;
    config.ignored_hosts.count = 0;
    config.client_mode = CLIENT_ON;
    config.xray_mode = XRAY_OFF;
    config.propagator_formats = PROPAGATION_DEFAULT_FORMATS;
    memset(&shim_span_head, 0xee, sizeof(shim_span_head)); /* a pool's block is as its last user left it */
    return shim_span_ring ? 0 : -1;
}

struct slice shim_span_slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

struct wire_slot *shim_span_begin(const char *method, const char *target)
{
    struct wire_slot *slot = span_open(&shim_span_head, 1000, &shim_span_ends);

    assert_non_null(slot);
    assert_int_equal(slot->open, WIRE_SLOT_CLOSED);
    span_request_line(slot, &shim_span_head, shim_span_slice(method), shim_span_slice(target), 1);
    return slot;
}

void shim_span_field(struct wire_slot *slot, const char *name, const char *value)
{
    span_request_field(slot, &shim_span_head, shim_span_slice(name), shim_span_slice(value));
}

struct wire_request *shim_span_end(struct wire_slot *slot)
{
    static union shim_record record;
    size_t length;

    span_head_end(slot, &shim_span_head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_REQUEST);
    assert_int_equal(length, sizeof(record.request) + record.request.text_length);
    assert_int_equal(shim_core_slots_used(shim_span_ring, 0), 0);
    return &record.request;
}

void shim_span_assert_text(const struct wire_request *request, enum wire_text id, const char *expected)
{
    struct slice text = shim_core_text(request, id, 0);

    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.length);
}

void shim_span_assert_no_text(const struct wire_request *request, enum wire_text id)
{
    assert_null(shim_core_text(request, id, 0).bytes);
}
