// SPDX-License-Identifier: Apache-2.0
#include "preload/config.h"

#include "preload/propagation.h"

#include <assert.h>
#include <string.h>

struct config config;

static const struct {
    const char *name, *range;
    size_t field; /* offset of its text in struct config */
} rows[CONFIG_ROW_COUNT] = {
#define SETTING(NAME, field, TYPE, preset, range, help) {#NAME, range, offsetof(struct config, field)},
#define SETTING_ALSO                                    SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
};
static_assert(CONFIG_ROW_COUNT <= 32, "bad");

static const char **field_of(struct config *read, size_t row)
{
    return (const char **)(void *)((char *)read + rows[row].field);
}

static struct slice trimmed(const char *text)
{
    return slice_trim((struct slice){text, strlen(text)});
}

static bool is_word(const char *text, const char *lower)
{
    return text && slice_is(trimmed(text), lower);
}

/* The row's value, or that of its field's other name, makes no sense. */
static void complain(struct config *read, size_t row)
{
    const char *text = *field_of(read, row);

    while (read->values[row] != text)
        row++;
    read->bad |= UINT32_C(1) << row;
}

/* Which word of the row's range it is, in the order of an enum; 0, the default, when unset or bad. */
static unsigned choose(struct config *read, size_t row)
{
    const char *text = *field_of(read, row);
    struct slice words = {rows[row].range, strlen(rows[row].range)};
    struct slice word;

    for (unsigned n = 0; text && slice_next(&words, '|', &word); n++)
        if (slice_is_same(trimmed(text), word))
            return n;
    if (text)
        complain(read, row);
    return 0;
}

static bool boolean(struct config *read, size_t row)
{
    const char *text = *field_of(read, row);

    if (is_word(text, "true"))
        return true;
    if (text && !is_word(text, "false"))
        complain(read, row);
    return false;
}

void config_add(struct config *read, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t name_length = equals ? (size_t)(equals - entry) : 0;

    for (size_t row = 0; equals && row < CONFIG_ROW_COUNT; row++)
        if (!read->values[row] && strlen(rows[row].name) == name_length &&
            memcmp(rows[row].name, entry, name_length) == 0)
            read->values[row] = equals + 1;
}

/* Empty is unset; a field's later row wins. */
static void settle_texts(struct config *read)
{
    for (size_t row = 0; row < CONFIG_ROW_COUNT; row++)
        if (read->values[row] && trimmed(read->values[row]).length > 0)
            *field_of(read, row) = read->values[row];
}

static void settle_sampler(struct config *read)
{
    enum sampler_problem problem = sampler_parse(read->traces_sampler, read->traces_sampler_arg, &read->sampler);

    if (problem == SAMPLER_BAD_NAME)
        complain(read, CONFIG_OTEL_TRACES_SAMPLER);
    if (problem == SAMPLER_BAD_ARG)
        complain(read, CONFIG_OTEL_TRACES_SAMPLER_ARG);
}

static void settle_propagators(struct config *read)
{
    const char *list = read->propagators;
    unsigned unknown = 0;

    read->propagator_formats =
        list ? propagation_parse_formats(list, strlen(list), &unknown) : PROPAGATION_DEFAULT_FORMATS;
    if (unknown > 0)
        complain(read, CONFIG_OTEL_PROPAGATORS);
}

void config_settle(struct config *read)
{
    settle_texts(read);
    read->off =
        is_word(read->disabled, "1") || (!is_word(read->disabled, "0") && boolean(read, CONFIG_SPANSHIM_DISABLED));
    read->off |= boolean(read, CONFIG_OTEL_SDK_DISABLED);
    settle_sampler(read);
    settle_propagators(read);
    read->query_mode = (enum redact_mode)choose(read, CONFIG_SPANSHIM_QUERY);
    read->client_ip_mode = (enum redact_ip_mode)choose(read, CONFIG_SPANSHIM_CLIENT_IP);
}

void config_init(const char *text, size_t length)
{
    for (const char *entry = text, *end = text + length; entry < end; entry += strlen(entry) + 1)
        if (*entry == 'e')
            config_add(&config, entry + 1);
    config_settle(&config);
}

bool config_names_header(const char *list, struct slice name)
{
    struct slice rest = {list, list ? strlen(list) : 0};
    struct slice item;

    while (slice_next(&rest, ',', &item))
        if (slice_is_same(slice_trim(item), name))
            return true;
    return false;
}
