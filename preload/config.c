/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/config.h"

#include "preload/applog.h"
#include "preload/propagation.h"

#include <assert.h>
#include <string.h>

struct config config;

/* The range's words, where the row's value is one or some of them. */
#define WORDS_CHOICE(range)   range
#define WORDS_LIST(range)     range
#define WORDS_BOOLEAN(range)  ""
#define WORDS_DURATION(range) ""
#define WORDS_GLOBS(range)    ""
#define WORDS_HEADER(range)   ""
#define WORDS_INTEGER(range)  ""
#define WORDS_PATH(range)     ""
#define WORDS_RATIO(range)    ""
#define WORDS_SECRET(range)   ""
#define WORDS_TEXT(range)     ""

/* The rows' names and words, one after the other. Where each begins is a number: a pointer would be a relocation at
 * every start. */
static const struct texts {
#define SETTING(NAME, field, TYPE, preset, range, help)                                                                \
    char NAME[sizeof(#NAME)], words_of_##NAME[sizeof(WORDS_##TYPE(range))];
#define SETTING_ALSO SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
} texts = {
#define SETTING(NAME, field, TYPE, preset, range, help) #NAME, WORDS_##TYPE(range),
#define SETTING_ALSO                                    SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
};

static const struct {
    uint16_t name, words;
    uint16_t field; /* offset of its text in struct config */
} rows[CONFIG_ROW_COUNT] = {
#define SETTING(NAME, field, TYPE, preset, range, help)                                                                \
    {offsetof(struct texts, NAME), offsetof(struct texts, words_of_##NAME), offsetof(struct config, field)},
#define SETTING_ALSO SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
};
static_assert(CONFIG_ROW_COUNT <= 64, "bad");

static const char *name_of(size_t row)
{
    return (const char *)&texts + rows[row].name;
}

static struct slice range_of(size_t row)
{
    const char *words = (const char *)&texts + rows[row].words;

    return (struct slice){words, strlen(words)};
}

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
    read->bad |= UINT64_C(1) << row;
}

/* Which word of the row's range it is, in the order of an enum; 0, the default, when unset or bad. */
static unsigned choose(struct config *read, size_t row)
{
    const char *text = *field_of(read, row);
    struct slice words = range_of(row);
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

/* Patterns; more than a list holds are not used. */
static void globs(struct config *read, size_t row, struct glob_list *list)
{
    if (!glob_list_read(*field_of(read, row), list))
        complain(read, row);
}

/* A path begins with '/': a host or a bare name is a mistake. */
static void path_globs(struct config *read, size_t row, struct glob_list *list)
{
    globs(read, row, list);
    for (uint32_t i = 0; i < list->count; i++)
        if (!memchr("/*?\\", list->patterns[i].bytes[0], 4))
            complain(read, row);
}

/* A whole number up to `most`; the default when unset or bad. */
static uint32_t number(struct config *read, size_t row, uint32_t most, uint32_t preset)
{
    const char *text = *field_of(read, row);
    struct slice digits = text ? trimmed(text) : (struct slice){0};
    uint64_t value = 0;

    for (; digits.length > 0 && digits.bytes[0] >= '0' && digits.bytes[0] <= '9' && value <= most; digits.length--)
        value = value * 10 + (uint64_t)(*digits.bytes++ - '0');
    if (!text)
        return preset;
    if (digits.length == 0 && value <= most)
        return (uint32_t)value;
    complain(read, row);
    return preset;
}

/* A header that must not be captured names nobody. */
static void settle_user_header(struct config *read)
{
    struct slice name = read->user_header_name ? trimmed(read->user_header_name) : (struct slice){0};

    if (name.length == 0)
        return;
    if (redact_header_allowed(name.bytes, name.length, REDACT_IP_FULL))
        read->user_header = name;
    else
        complain(read, CONFIG_SPANSHIM_USER_HEADER);
}

void config_add(struct config *read, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t name_length = equals ? (size_t)(equals - entry) : 0;

    receivers_add(&read->receivers, entry);
    for (size_t row = 0; equals && row < CONFIG_ROW_COUNT; row++)
        if (!read->values[row] && strlen(name_of(row)) == name_length && memcmp(name_of(row), entry, name_length) == 0)
            read->values[row] = equals + 1;
}

/* Empty is unset; a field's later row wins. */
static void settle_texts(struct config *read)
{
    for (size_t row = 0; row < CONFIG_ROW_COUNT; row++) {
        if (read->values[row] && trimmed(read->values[row]).length == 0)
            read->values[row] = NULL;
        if (read->values[row])
            *field_of(read, row) = read->values[row];
    }
}

static void settle_sampler(struct config *read)
{
    enum sampler_problem problem = sampler_parse(read->traces_sampler, read->traces_sampler_arg, &read->sampler);

    if (problem == SAMPLER_BAD_NAME)
        complain(read, CONFIG_OTEL_TRACES_SAMPLER);
    if (problem == SAMPLER_BAD_ARG)
        complain(read, CONFIG_OTEL_TRACES_SAMPLER_ARG);
}

/* Is this word in the list? */
static bool has_word(const char *list, const char *lower)
{
    struct slice words = {list, list ? strlen(list) : 0};
    struct slice word;

    while (words.length > 0 && slice_next(&words, ',', &word))
        if (slice_is(slice_trim(word), lower))
            return true;
    return false;
}

/* A bit for each word of the row's range that its list has, in the range's order; what is none of them is passed
 * over. */
static unsigned words_of(struct config *read, size_t row)
{
    const char *text = *field_of(read, row);
    struct slice list = {text, text ? strlen(text) : 0};
    unsigned found = 0;
    struct slice piece, word;

    while (list.length > 0 && slice_next(&list, ',', &piece)) {
        struct slice range = range_of(row);
        unsigned bit = 1;

        while (slice_next(&range, '|', &word) && !slice_is_same(slice_trim(piece), word))
            bit <<= 1;
        if (slice_is_same(slice_trim(piece), word))
            found |= bit;
        else
            complain(read, row);
    }
    return found;
}

static bool goes_to_cloudwatch(const struct config *read)
{
    return read->cloudwatch_log_group || has_word(read->more_exporters, "cloudwatch") ||
           has_word(read->logs_exporters, "cloudwatch");
}

/* Do logs go anywhere as they are? */
static bool has_log_destination(struct config *read)
{
    bool by_exporter = words_of(read, CONFIG_OTEL_LOGS_EXPORTER) != 0 && !is_word(read->logs_exporters, "none");

    return by_exporter || goes_to_cloudwatch(read);
}

static void settle_request_lines(struct config *read)
{
    enum request_lines form = (enum request_lines)choose(read, CONFIG_SPANSHIM_REQUEST_LINES);

    bool is_set = read->request_lines && !(read->bad & UINT64_C(1) << CONFIG_SPANSHIM_REQUEST_LINES);

    if (!is_set && goes_to_cloudwatch(read))
        form = REQUEST_LINES_SHORT;
    if (has_log_destination(read))
        read->request_line_form = form;
}

/* Rollbar gets the tracebacks that are found in logs. */
static void settle_logs(struct config *read)
{
    bool tracebacks = !read->tracebacks || boolean(read, CONFIG_SPANSHIM_TRACEBACKS);
    unsigned words = words_of(read, CONFIG_SPANSHIM_LOGS);

    path_globs(read, CONFIG_SPANSHIM_LOG_FILES, &read->taken_log_files);
    if (has_log_destination(read) || (read->rollbar_access_token && tracebacks))
        read->log_sources = words ? words & APPLOG_ALL : APPLOG_STDERR;
    else
        read->taken_log_files.count = 0;
}

/* As X-Ray's SDKs read it. */
static bool is_switched_off(const char *text)
{
    static const char *const words[] = {"n", "no", "f", "false", "off", "0"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(text, words[i]))
            return true;
    return false;
}

static void settle_xray(struct config *read)
{
    bool is_wanted =
        read->xray_daemon_address || has_word(read->traces_exporters, "xray") || has_word(read->more_exporters, "xray");

    if (is_wanted && !is_switched_off(read->xray_enabled))
        read->xray_mode = read->traces_sampler ? XRAY_FOLLOWS : XRAY_SAMPLES;
}

/* After X-Ray: its header is read and written while traces go there. */
static void settle_propagators(struct config *read)
{
    static const char with_xray[] = "xray,tracecontext,baggage";
    const char *list = !read->propagators && read->xray_mode != XRAY_OFF ? with_xray : read->propagators;
    unsigned unknown = 0;

    read->propagator_formats =
        list ? propagation_parse_formats(list, strlen(list), &unknown) : PROPAGATION_DEFAULT_FORMATS;
    if (unknown > 0)
        complain(read, CONFIG_OTEL_PROPAGATORS);
}

static void settle_response_lines(struct config *read)
{
    bool traceparent = boolean(read, CONFIG_SPANSHIM_RESPONSE_TRACEPARENT);
    bool cors = boolean(read, CONFIG_SPANSHIM_RESPONSE_TRACEPARENT_CORS);
    bool xray = boolean(read, CONFIG_SPANSHIM_RESPONSE_XRAY);

    if (traceparent)
        read->response_lines |= PROPAGATION_RESPONSE_TRACEPARENT;
    if (traceparent && cors)
        read->response_lines |= PROPAGATION_RESPONSE_CORS;
    if (xray && (read->propagator_formats & 1u << PROPAGATION_XRAY))
        read->response_lines |= PROPAGATION_RESPONSE_XRAY;
}

static void settle_environment(struct config *read)
{
    static const uint8_t modes[] = {ENVIRONMENT_ON, ENVIRONMENT_READ, ENVIRONMENT_WRITE, ENVIRONMENT_OFF};

    read->environment_mode = modes[choose(read, CONFIG_SPANSHIM_ENVIRONMENT_CONTEXT)];
}

void config_settle(struct config *read)
{
    settle_texts(read);
    read->off =
        is_word(read->disabled, "1") || (!is_word(read->disabled, "0") && boolean(read, CONFIG_SPANSHIM_DISABLED));
    read->off |= boolean(read, CONFIG_OTEL_SDK_DISABLED);
    settle_sampler(read);
    settle_logs(read);
    settle_request_lines(read);
    settle_xray(read);
    settle_propagators(read);
    settle_response_lines(read);
    settle_environment(read);
    read->query_mode = (enum redact_mode)choose(read, CONFIG_SPANSHIM_QUERY);
    read->client_ip_mode = (enum redact_ip_mode)choose(read, CONFIG_SPANSHIM_CLIENT_IP);
    read->deepbind_mode = (enum deepbind_mode)choose(read, CONFIG_SPANSHIM_DEEPBIND);
    path_globs(read, CONFIG_SPANSHIM_IGNORE_PATHS, &read->ignored_paths);
    globs(read, CONFIG_SPANSHIM_IGNORE_USER_AGENTS, &read->ignored_user_agents);
    read->client_mode = (enum client_mode)choose(read, CONFIG_SPANSHIM_CLIENT);
    globs(read, CONFIG_SPANSHIM_IGNORE_HOSTS, &read->ignored_hosts);
    receivers_settle(&read->receivers);
    globs(read, CONFIG_SPANSHIM_REQUEST_HEADERS, &read->captured_request_headers);
    globs(read, CONFIG_SPANSHIM_RESPONSE_HEADERS, &read->captured_response_headers);
    settle_user_header(read);
    read->span_limit = number(read, CONFIG_SPANSHIM_MAX_SPANS_PER_SECOND, 1000000, 0);
    read->crash_mode = (enum crash_mode)choose(read, CONFIG_SPANSHIM_CRASH);
    read->crash_timeout_ms = number(read, CONFIG_SPANSHIM_CRASH_TIMEOUT, 60000, 2000);
}

void config_init(const char *text, size_t length)
{
    for (const char *entry = text, *end = text + length; entry < end; entry += strlen(entry) + 1)
        if (*entry == 'e')
            config_add(&config, entry + 1);
    config_settle(&config);
}
