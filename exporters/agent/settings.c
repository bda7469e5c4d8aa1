/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settings.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/routes.h"
#include "exporters/agent/settings_fields.h"
#include "exporters/agent/settle.h"
#include "exporters/agent/values.h"
#include "preload/config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct settings_field settings_fields[SETTINGS_FIELD_COUNT] = {
#define ROW(NAME, field, TYPE, initial, range, help, also)                                                             \
    {{#NAME, #TYPE, initial, range, help}, TYPE, also, offsetof(struct settings, field)},
#define SETTING(...)      ROW(__VA_ARGS__, false)
#define SETTING_ALSO(...) ROW(__VA_ARGS__, true)
#include "exporters/agent/config.def"
#undef SETTING
#undef SETTING_ALSO
#undef ROW
};

/* What the shim reads itself. */
static const struct settings_row shim_rows[] = {
#define SETTING(NAME, field, TYPE, initial, range, help) {#NAME, #TYPE, initial, range, help},
#define SETTING_ALSO                                     SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
};
enum { SHIM_ROW_COUNT = sizeof(shim_rows) / sizeof(shim_rows[0]) };
static_assert((size_t)SETTINGS_FIELD_COUNT + SHIM_ROW_COUNT <= SETTINGS_ROWS_MAX, "in_force");

const struct settings_row *settings_row(size_t n)
{
    if (n < SETTINGS_FIELD_COUNT)
        return &settings_fields[n].row;
    return n < SETTINGS_FIELD_COUNT + SHIM_ROW_COUNT ? &shim_rows[n - SETTINGS_FIELD_COUNT] : NULL;
}

static void show_row(const struct settings_row *row, const char *value, char *out, size_t size)
{
    if (strncmp(row->type, "SECRET", strlen("SECRET")) == 0)
        (void)snprintf(out, size, "%s", value[0] != '\0' ? "set" : "");
    else if (strcmp(row->type, "URL") == 0 || strcmp(row->type, "ENDPOINT") == 0)
        values_show_url(value, out, size);
    else
        (void)snprintf(out, size, "%s", value);
}

void settings_show(const struct settings *settings, size_t n, const char *given, char *out, size_t size)
{
    const struct settings_row *row = settings_row(n);
    char *value = given != NULL ? values_trimmed(given, strlen(given)) : NULL;

    if (value != NULL && settings->in_force[n])
        show_row(row, value, out, size);
    else if (value != NULL && strcmp(row->type, "BOOLEAN") == 0)
        (void)snprintf(out, size, "false"); /* what everything but true counts as */
    else
        show_row(row, row->initial, out, size);
    if (value != NULL)
        explicit_bzero(value, strlen(value));
    free(value);
}

size_t settings_row_of_shim(void)
{
    return SETTINGS_FIELD_COUNT;
}

bool settings_is_grpc(const struct settings *settings, enum signal signal)
{
    const char *own = signal == SIGNAL_LOGS ? settings->otlp_logs_protocol : settings->otlp_traces_protocol;

    return strcmp(own != NULL ? own : settings->otlp_protocol, "grpc") == 0;
}

const char *settings_find_entry(const char *const *entries, size_t entry_count, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < entry_count; i++)
        if (strncmp(entries[i], name, length) == 0 && entries[i][length] == '=')
            return entries[i] + length + 1;
    return NULL;
}

/* FNV-1a, 128 bits: told apart are settings of one user's own programs, so nothing stronger is needed. Users are told
 * apart by their number, which stands in the digest as it is: who can choose settings can choose a hash. */
static void digest_add(unsigned __int128 *hash, const void *bytes, size_t length)
{
    const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;

    for (size_t i = 0; i < length; i++)
        *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * prime;
}

static void digest_add_text(unsigned __int128 *hash, const char *text)
{
    /* The NUL keeps neighbours apart, the first byte tells unset from empty. */
    digest_add(hash, text != NULL ? "+" : "-", 1);
    if (text != NULL)
        digest_add(hash, text, strlen(text) + 1);
}

static void digest_add_row(unsigned __int128 *hash, const struct settings *settings, size_t n)
{
    const void *field = (const char *)settings + settings_fields[n].offset;

    switch (settings_fields[n].type) {
    case BOOLEAN:
        digest_add(hash, field, sizeof(bool));
        break;
    case INTEGER:
    case LIMIT:
    case DURATION:
    case TIMEOUT:
        digest_add(hash, field, sizeof(uint32_t));
        break;
    case CHOICE:
    case LIST:
    case TEXT:
    case PATH:
    case ENDPOINT:
    case URL:
    case SECRET:
        digest_add_text(hash, *(char *const *)field);
        break;
    case SECRET_PAIRS:
        for (size_t i = 0; i < ((const struct settings_pairs *)field)->count; i++) {
            digest_add_text(hash, ((const struct settings_pairs *)field)->pairs[i].name);
            digest_add_text(hash, ((const struct settings_pairs *)field)->pairs[i].value);
        }
        digest_add_text(hash, NULL);
        break;
    case NAME:
    case PAIRS:
    case ROUTES:
        break;
    }
}

static unsigned __int128 digest_begin(void)
{
    return (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
}

static uint16_t mark_secrets(const struct settings *settings)
{
    unsigned __int128 hash = digest_begin();

    for (size_t n = 0; n < SETTINGS_FIELD_COUNT; n++)
        if (settings_fields[n].type == SECRET || settings_fields[n].type == SECRET_PAIRS ||
            settings_fields[n].type == ENDPOINT || settings_fields[n].type == URL)
            digest_add_row(&hash, settings, n);
    return (uint16_t)(hash ^ hash >> 32 ^ hash >> 64 ^ hash >> 96);
}

static void take_digest(struct settings *settings)
{
    unsigned __int128 hash = digest_begin();

    for (size_t n = 0; n < SETTINGS_FIELD_COUNT; n++)
        digest_add_row(&hash, settings, n);
    for (size_t i = 0; i < settings->exporter_count; i++)
        digest_add_text(&hash, settings->exporters[i]);
    for (size_t i = 0; i < settings->log_exporter_count; i++)
        digest_add_text(&hash, settings->log_exporters[i]);
    settings->secrets_mark = mark_secrets(settings);
    static_assert(sizeof(hash) + sizeof(settings->uid) == SETTINGS_DIGEST_SIZE, "digest");
    memcpy(settings->digest, &hash, sizeof(hash));
    memcpy(settings->digest + sizeof(hash), &settings->uid, sizeof(settings->uid));
}

/* As the shim reads the same entries. */
static void read_shim(const char *const *entries, size_t entry_count, struct config *shim)
{
    for (size_t i = 0; i < entry_count; i++)
        config_add(shim, entries[i]);
    config_settle(shim);
}

struct settings *settings_new(const char *const *entries, size_t entry_count, const char *working_directory)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    struct config shim = {0};

    if (settings == NULL)
        return NULL;
    settings->refs = 1;
    read_shim(entries, entry_count, &shim);
    settings->xray_mode = shim.xray_mode;
    settings->request_lines = shim.request_line_form;
    if (settings_read(settings, entries, entry_count, working_directory) < 0 ||
        settle(settings, entries, entry_count) < 0) {
        settings_unref(settings);
        return NULL;
    }
    take_digest(settings);
    complaints_add_shim(settings, &shim);
    complaints_add_unknown(settings, entries, entry_count);
    return settings;
}

struct settings *settings_ref(struct settings *settings)
{
    settings->refs++;
    return settings;
}

static void free_field(struct settings *settings, size_t n)
{
    void *field = (char *)settings + settings_fields[n].offset;
    char **text = field;

    switch (settings_fields[n].type) {
    case CHOICE:
    case LIST:
    case NAME:
    case TEXT:
    case PATH:
    case ENDPOINT:
    case URL:
    case SECRET:
        if (*text != NULL)
            explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
        break;
    case PAIRS:
    case SECRET_PAIRS:
        values_free_pairs(field);
        break;
    case ROUTES:
        routes_free(*(struct routes **)field);
        break;
    case BOOLEAN:
    case INTEGER:
    case LIMIT:
    case DURATION:
    case TIMEOUT:
        break;
    }
}

void settings_unref(struct settings *settings)
{
    if (settings == NULL || --settings->refs > 0)
        return;
    for (size_t n = 0; n < SETTINGS_FIELD_COUNT; n++)
        free_field(settings, n);
    for (size_t i = 0; i < settings->exporter_count; i++)
        free(settings->exporters[i]);
    for (size_t i = 0; i < settings->log_exporter_count; i++)
        free(settings->log_exporters[i]);
    for (size_t i = 0; i < settings->complaint_count; i++)
        free(settings->complaints[i]);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        free(settings->otlp[i].url);
        values_free_pairs(&settings->otlp[i].headers);
    }
    free(settings->rollbar_url);
    free(settings);
}

/* What would be read with our rights. */
static void drop_files(struct settings *settings)
{
    for (size_t n = 0; n < SETTINGS_FIELD_COUNT; n++) {
        char **path = (char **)(void *)((char *)settings + settings_fields[n].offset);

        if (settings_fields[n].type != PATH || *path == NULL)
            continue;
        complaints_add(settings, "%s: not used: the agent runs as another user and opens no files for this one",
                       settings_fields[n].row.name);
        free_field(settings, n);
    }
}

/* Asking for the machine's or container's credentials on behalf of a user who isn't trusted could hand out the
 * agent's own. */
static void drop_metadata(struct settings *settings)
{
    char **const texts[] = {&settings->aws_metadata_endpoint, &settings->aws_container_relative_uri,
                            &settings->aws_container_full_uri};
    bool was_set = settings->aws_metadata;

    settings->aws_metadata = false;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        was_set |= *texts[i] != NULL;
        free(*texts[i]);
        *texts[i] = NULL;
    }
    if (was_set)
        complaints_add(settings, "credentials of AWS: the agent runs as another user and asks no metadata service for "
                                 "this one; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}

void settings_give_to(struct settings *settings, uid_t uid, bool is_trusted, uint32_t queue_bytes_max)
{
    settings->uid = uid;
    if (!is_trusted) {
        drop_files(settings);
        drop_metadata(settings);
    }
    if (!is_trusted && settings->queue_bytes > queue_bytes_max)
        settings->queue_bytes = queue_bytes_max;
    take_digest(settings);
}

size_t settings_complaint_count(const struct settings *settings)
{
    return settings->complaint_count;
}

const char *settings_complaint(const struct settings *settings, size_t n)
{
    return n < settings->complaint_count ? settings->complaints[n] : NULL;
}

bool settings_was_given(const struct settings *settings, const char *name)
{
    const struct settings_row *row;

    for (size_t n = 0; (row = settings_row(n)) != NULL; n++)
        if (settings->in_force[n] && strcmp(row->name, name) == 0)
            return true;
    return false;
}

bool settings_is_refused(const struct settings *settings, const char *const *entries, size_t entry_count,
                         const char *name)
{
    const char *value = settings_find_entry(entries, entry_count, name);

    return value != NULL && value[strspn(value, " \t")] != '\0' && !settings_was_given(settings, name);
}
