// SPDX-License-Identifier: Apache-2.0
#include "preload/config.h"

#include "preload/clock.h"
#include "preload/facts.h"
#include "preload/propagation.h"
#include "preload/ring.h"

#include <stdint.h>
#include <string.h>

struct config config;

enum setting {
#define SETTING(NAME, field, TYPE, preset, range, help) SETTING_##field,
#include "preload/config.def"
#undef SETTING
    SETTING_COUNT
};

/* What a complaint says. */
static const struct {
    const char *name, *preset, *range;
    const char **text;
} settings[SETTING_COUNT] = {
#define SETTING(NAME, field, TYPE, preset, range, help) {#NAME, preset, range, &config.field},
#include "preload/config.def"
#undef SETTING
};

/* Settings with a bad value, a bit each. Written at start; taken by the first reporter. */
static _Atomic uint32_t bad;
static_assert(SETTING_COUNT <= 32, "bad");

static bool is_word(const char *text, const char *lower)
{
    return text && slice_is((struct slice){text, strlen(text)}, lower);
}

static void complain(enum setting setting)
{
    atomic_fetch_or_explicit(&bad, UINT32_C(1) << setting, memory_order_relaxed);
}

/* One of the words, in the order of an enum; 0, the default, when unset or bad. */
static unsigned choose(enum setting setting, const char *first, const char *second, const char *third)
{
    const char *text = *settings[setting].text;

    if (!text || is_word(text, first))
        return 0;
    if (is_word(text, second))
        return 1;
    if (is_word(text, third))
        return 2;
    complain(setting);
    return 0;
}

static bool boolean(enum setting setting)
{
    const char *text = *settings[setting].text;

    if (is_word(text, "true"))
        return true;
    if (text && !is_word(text, "false"))
        complain(setting);
    return false;
}

static void read_entries(void)
{
    size_t length;
    const char *entry = facts_text(&length);
    const char *end = entry + length;

    for (; entry < end; entry += strlen(entry) + 1) {
        const char *equals = *entry == 'e' ? strchr(entry, '=') : NULL;
        size_t name_length = equals ? (size_t)(equals - entry - 1) : 0;

        if (!equals || equals[1] == '\0') /* empty is unset */
            continue;
        for (int i = 0; i < SETTING_COUNT; i++)
            if (strlen(settings[i].name) == name_length && memcmp(settings[i].name, entry + 1, name_length) == 0)
                *settings[i].text = equals + 1;
    }
}

void config_init(void)
{
    unsigned unknown = 0;

    read_entries();
    config.off = is_word(config.disabled, "1") || (!is_word(config.disabled, "0") && boolean(SETTING_disabled));
    config.off |= boolean(SETTING_sdk_disabled);
    enum sampler_problem problem = sampler_parse(config.traces_sampler, config.traces_sampler_arg, &config.sampler);
    if (problem == SAMPLER_BAD_NAME)
        complain(SETTING_traces_sampler);
    if (problem == SAMPLER_BAD_ARG)
        complain(SETTING_traces_sampler_arg);
    config.propagator_formats = PROPAGATION_DEFAULT_FORMATS;
    if (config.propagators)
        config.propagator_formats = propagation_parse_formats(config.propagators, strlen(config.propagators), &unknown);
    if (unknown > 0)
        complain(SETTING_propagators);
    config.query_mode = (enum redact_mode)choose(SETTING_query, "redact", "drop", "keep");
    config.client_ip_mode = (enum redact_ip_mode)choose(SETTING_client_ip, "full", "anonymize", "none");
}

/* Append to a bounded text; what has no room is cut. */
static uint16_t put(char *to, uint16_t at, uint16_t room, const char *text)
{
    size_t length = strlen(text);

    if (length > (size_t)(room - at))
        length = (size_t)(room - at);
    memcpy(to + at, text, length);
    return (uint16_t)(at + length);
}

static void report_one(enum setting setting)
{
    enum { ROOM = 160 };
    union {
        struct wire_diagnostic head;
        char bytes[sizeof(struct wire_diagnostic) + ROOM];
    } record = {.head = {.time_ns = clock_mono_ns(), .level = WIRE_LEVEL_WARN}};
    char *text = record.bytes + sizeof(record.head);
    uint16_t at = put(text, 0, ROOM, settings[setting].name);

    at = put(text, at, ROOM, "=");
    at = put(text, at, (uint16_t)(at + 40), *settings[setting].text);
    at = put(text, at, ROOM, " is not understood; used instead: ");
    at = put(text, at, ROOM, settings[setting].preset);
    record.head.text_length = at;
    (void)ring_write(WIRE_RECORD_DIAGNOSTIC, &record, sizeof(record.head) + at, NULL);
}

void config_report(void)
{
    uint32_t which = atomic_exchange_explicit(&bad, 0, memory_order_relaxed);

    for (int i = 0; i < SETTING_COUNT; i++)
        if (which >> i & 1)
            report_one((enum setting)i);
}

bool config_names_header(const char *list, struct slice name)
{
    struct slice rest = {list, list ? strlen(list) : 0};
    struct slice item;

    while (slice_next(&rest, ',', &item)) {
        item = slice_trim(item);
        bool same = item.length == name.length;
        for (size_t i = 0; same && i < name.length; i++)
            same = slice_lower(item.bytes[i]) == slice_lower(name.bytes[i]);
        if (same)
            return true;
    }
    return false;
}
