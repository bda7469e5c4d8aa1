/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of both halves and files of settings. Input: the text of a file. Each line is also an entry as it is, and
 * the value of the setting that its first byte chooses. */
#include "exporters/agent/settings.h"
#include "preload/config.h"
#include "preload/env_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { ENTRIES_MAX = 256, SHOWN_SIZE = 512 };

static const char secret[] = "Zq0Zq1";

static size_t row_count(void)
{
    size_t n = 0;

    while (settings_row(n))
        n++;
    return n;
}

static bool is_secret(const struct settings_row *row)
{
    return strncmp(row->type, "SECRET", strlen("SECRET")) == 0;
}

/* "NAME=value" of the row that the line's first byte chooses; a secret row's value ends in the secret. */
static char *entry_of(const char *line)
{
    const struct settings_row *row = settings_row((unsigned char)line[0] % row_count());
    char *entry;

    FUZZ_CHECK(asprintf(&entry, "%s=%s%s", row->name, line[0] ? line + 1 : "", is_secret(row) ? secret : "") > 0);
    return entry;
}

static void check_settings(const char *const *entries, size_t count)
{
    struct settings *settings = settings_new(entries, count, "/folder");
    char shown[SHOWN_SIZE];

    FUZZ_CHECK(settings && settings->otlp[SIGNAL_TRACES].url &&
               settings_complaint_count(settings) <= SETTINGS_COMPLAINTS_MAX);
    for (size_t i = 0; i < settings_complaint_count(settings); i++)
        FUZZ_CHECK(!strstr(settings_complaint(settings, i), secret));
    for (size_t n = 0; settings_row(n); n++) {
        settings_show(settings, n, is_secret(settings_row(n)) ? secret : "value", shown, sizeof(shown));
        FUZZ_CHECK(!strstr(shown, secret));
    }
    struct settings *again = settings_new(entries, count, "/folder");
    FUZZ_CHECK(memcmp(settings->digest, again->digest, SETTINGS_DIGEST_SIZE) == 0);
    settings_unref(again);
    settings_unref(settings);
}

static void check_config(const char *const *entries, size_t count)
{
    struct config read = {0};

    for (size_t i = 0; i < count; i++)
        config_add(&read, entries[i]);
    config_settle(&read);
    for (size_t row = 0; row < CONFIG_ROW_COUNT; row++)
        FUZZ_CHECK(!(read.bad >> row & 1) || read.values[row]);
    FUZZ_CHECK(read.sampler.threshold <= UINT64_C(1) << 56);
}

/* Lines of the text, cut apart in place. */
static void check_lines(char *text)
{
    const char *entries[2 * ENTRIES_MAX];
    char *made[ENTRIES_MAX];
    size_t count = 0;

    for (char *line = text, *next = text; next && count < ENTRIES_MAX; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        made[count] = entry_of(line);
        entries[2 * count] = made[count];
        entries[2 * count + 1] = line;
        count++;
    }
    check_settings(entries, 2 * count);
    check_config(entries, 2 * count);
    for (size_t i = 0; i < count; i++)
        free(made[i]);
}

static void check_file(char *text)
{
    const char *end = text + strlen(text);
    struct env_file file = env_file_open(text);
    unsigned line, last_line = 0;
    enum env_file_item item;
    const char *behind = text;
    char *entry;

    while ((item = env_file_next(&file, &entry, &line)) != ENV_FILE_END) {
        FUZZ_CHECK(line > last_line || (line == last_line && file.at > behind)); /* '\r' ends a line too */
        FUZZ_CHECK(file.at > behind && file.at <= end);
        if (item == ENV_FILE_ENTRY)
            FUZZ_CHECK(entry >= behind && entry + strlen(entry) <= file.at && strchr(entry, '=') > entry);
        behind = file.at;
        last_line = line;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* a block of just its size */

    FUZZ_CHECK(text);
    if (memmem(data, size, secret, sizeof(secret) - 1)) {
        free(text); /* then it is no secret */
        return 0;
    }
    for (int round = 0; round < 2; round++) {
        if (size > 0)
            memcpy(text, data, size);
        text[size] = '\0';
        round == 0 ? check_file(text) : check_lines(text);
    }
    free(text);
    return 0;
}
