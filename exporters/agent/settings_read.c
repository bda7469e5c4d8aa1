/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settings_fields.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/routes.h"
#include "exporters/agent/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* While a hand-over's entries are being read. */
struct reading {
    struct settings *settings;
    const char *working_directory;
    bool no_memory;
};

static bool read_text(struct reading *reading, char **field, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL) {
        reading->no_memory = true;
        return false;
    }
    free(*field);
    *field = copy;
    return true;
}

static bool read_path(struct reading *reading, char **field, const char *value)
{
    char *path;

    if (value[0] == '/' || reading->working_directory == NULL)
        return read_text(reading, field, value);
    if (asprintf(&path, "%s/%s", reading->working_directory, value) < 0) {
        reading->no_memory = true;
        return false;
    }
    free(*field);
    *field = path;
    return true;
}

static bool read_boolean(struct reading *reading, const struct settings_row *row, bool *field, const char *value)
{
    *field = strcasecmp(value, "true") == 0;
    if (*field || strcasecmp(value, "false") == 0)
        return true;
    complaints_add_value(reading->settings, row, value);
    return false;
}

static bool read_number(struct reading *reading, const struct settings_row *row, uint32_t *field, const char *value)
{
    if (values_parse_number(value, row->range, field))
        return true;
    complaints_add_value(reading->settings, row, value);
    return false;
}

/* With a '/' in its password the text is no URL: whatever is before the last '@' may be secret. */
static void complain_of_url(struct settings *settings, const struct settings_row *row, const char *value)
{
    const char *at = strrchr(value, '@');
    char shown[96];

    values_show_url(at != NULL ? at + 1 : value, shown, sizeof(shown));
    complaints_add_value(settings, row, shown);
}

static bool read_url(struct reading *reading, const struct settings_row *row, char **field, const char *value)
{
    if (values_is_url(value))
        return read_text(reading, field, value);
    complain_of_url(reading->settings, row, value);
    return false;
}

/* May what this endpoint is for go by gRPC? */
static bool may_go_by_grpc(const struct settings *settings, char *const *endpoint)
{
    return (endpoint != &settings->otlp_logs_endpoint && settings_is_grpc(settings, SIGNAL_TRACES)) ||
           (endpoint != &settings->otlp_traces_endpoint && settings_is_grpc(settings, SIGNAL_LOGS));
}

static bool read_endpoint(struct reading *reading, const struct settings_row *row, char **field, const char *value)
{
    bool grpc = may_go_by_grpc(reading->settings, field);
    struct settings_row used = *row;

    if (values_is_url(value) || (grpc && values_is_authority(value)))
        return read_text(reading, field, value);
    if (grpc)
        used.range = "http://...|https://...|host:port";
    if (grpc && row->initial[0] != '\0')
        used.initial = SETTINGS_GRPC_ENDPOINT;
    complain_of_url(reading->settings, &used, value);
    return false;
}

static bool read_choice(struct reading *reading, const struct settings_row *row, char **field, const char *value)
{
    if (!values_is_word_of(value, strlen(value), row->range)) {
        complaints_add_value(reading->settings, row, value);
        return false;
    }
    if (!read_text(reading, field, value))
        return false;
    for (char *p = *field; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}

/* Keeps the good words, comma separated, without blanks. */
static bool read_list(struct reading *reading, const struct settings_row *row, char **field, const char *value)
{
    char *kept = calloc(1, strlen(value) + 1);

    if (kept == NULL) {
        reading->no_memory = true;
        return false;
    }
    while (*value != '\0') {
        size_t length = strcspn(value, ",");
        char *word = values_trimmed(value, length);

        if (word != NULL && values_is_word_of(word, strlen(word), row->range)) {
            for (char *p = word; *p != '\0'; p++)
                *p = (char)tolower((unsigned char)*p);
            (void)strcat(strcat(kept, kept[0] != '\0' ? "," : ""), word);
        } else if (word != NULL) {
            complaints_add(reading->settings, "%s: \"%.80s\" is not one of %s; it is passed over", row->name, word,
                           row->range);
        }
        free(word);
        value += length + (value[length] == ',');
    }
    bool any = kept[0] != '\0' && read_text(reading, field, kept);
    free(kept);
    return any;
}

static bool read_pairs(struct reading *reading, const struct settings_row *row, struct settings_pairs *field,
                       const char *value, enum values_pairs_kind kind)
{
    struct settings_pairs pairs;
    char problem[128];

    if (values_parse_pairs(value, kind, &pairs, problem) < 0) {
        reading->no_memory = true;
        return false;
    }
    if (problem[0] != '\0')
        complaints_add(reading->settings, "%s: %s; %s", row->name, problem,
                       kind == VALUES_ATTRIBUTES ? "all of it is ignored" : "the item is passed over");
    if (pairs.count == 0)
        return false;
    values_free_pairs(field);
    *field = pairs;
    return true;
}

/* Keeps the good patterns. */
static bool read_routes(struct reading *reading, const struct settings_row *row, struct routes **field,
                        const char *value)
{
    struct routes *routes = routes_new();

    reading->no_memory |= routes == NULL;
    while (routes != NULL && *value != '\0') {
        size_t length = strcspn(value, ",");
        char *pattern = values_trimmed(value, length);
        int r = pattern != NULL ? routes_add(routes, pattern) : 0;

        if (r == -ENOMEM)
            reading->no_memory = true;
        else if (r < 0)
            complaints_add_value(reading->settings, row, pattern);
        free(pattern);
        value += length + (value[length] == ',');
    }
    *field = routes;
    return routes != NULL;
}

static bool read_value(struct reading *reading, size_t n, const char *value)
{
    const struct settings_row *row = &settings_fields[n].row;
    void *field = (char *)reading->settings + settings_fields[n].offset;

    switch (settings_fields[n].type) {
    case BOOLEAN:
        return read_boolean(reading, row, field, value);
    case INTEGER:
    case LIMIT:
    case DURATION:
    case TIMEOUT:
        return read_number(reading, row, field, value);
    case CHOICE:
        return read_choice(reading, row, field, value);
    case LIST:
        return read_list(reading, row, field, value);
    case NAME:
    case TEXT:
    case SECRET:
        return read_text(reading, field, value);
    case PATH:
        return read_path(reading, field, value);
    case URL:
        return read_url(reading, row, field, value);
    case ENDPOINT:
        return read_endpoint(reading, row, field, value);
    case PAIRS:
        return read_pairs(reading, row, field, value, VALUES_ATTRIBUTES);
    case SECRET_PAIRS:
        return read_pairs(reading, row, field, value, VALUES_HEADERS);
    case ROUTES:
        return read_routes(reading, row, field, value);
    }
    return false;
}

/* Until memory runs out: how one row is read depends on others. */
static void read_initial(struct reading *reading)
{
    for (size_t n = 0; n < SETTINGS_FIELD_COUNT && !reading->no_memory; n++) {
        if (settings_fields[n].row.initial[0] != '\0')
            (void)read_value(reading, n, settings_fields[n].row.initial);
        else if (settings_fields[n].type == LIMIT && !settings_fields[n].also)
            *(uint32_t *)(void *)((char *)reading->settings + settings_fields[n].offset) = SETTINGS_NO_LIMIT;
    }
}

static void read_entries(struct reading *reading, const char *const *entries, size_t entry_count)
{
    for (size_t n = 0; n < SETTINGS_FIELD_COUNT && !reading->no_memory; n++) {
        const char *entry = settings_find_entry(entries, entry_count, settings_fields[n].row.name);
        char *value = entry != NULL ? values_trimmed(entry, strlen(entry)) : NULL;

        if (value == NULL)
            continue;
        reading->settings->in_force[n] = read_value(reading, n, value);
        explicit_bzero(value, strlen(value));
        free(value);
    }
}

int settings_read(struct settings *settings, const char *const *entries, size_t entry_count,
                  const char *working_directory)
{
    struct reading reading = {.settings = settings, .working_directory = working_directory};

    read_initial(&reading);
    read_entries(&reading, entries, entry_count);
    return reading.no_memory ? -ENOMEM : 0;
}
