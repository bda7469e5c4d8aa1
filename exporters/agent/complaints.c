/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/complaints.h"

#include "exporters/agent/nearest.h"
#include "exporters/agent/settings.h"
#include "exporters/encode/utf8.h"
#include "preload/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value may have any bytes in it, and may have been cut within a character: terminals and JSON want better. */
static char *text_for_people(const char *line, size_t length)
{
    char *shown = malloc(length * UTF8_REPAIRED_MAX + 1);

    if (shown == NULL)
        return NULL;
    (void)utf8_repair(line, length, UINT32_MAX, shown);
    for (char *p = shown; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return shown;
}

/* One that holds for traces and logs alike is said once. */
static void keep(struct settings *settings, char *line)
{
    for (size_t i = 0; line != NULL && i < settings->complaint_count; i++) {
        if (strcmp(settings->complaints[i], line) == 0) {
            free(line);
            return;
        }
    }
    if (line != NULL)
        settings->complaints[settings->complaint_count++] = line;
}

void complaints_add(struct settings *settings, const char *format, ...)
{
    va_list arguments;
    char *line;

    if (settings->complaint_count == SETTINGS_COMPLAINTS_MAX)
        return;
    /* What is left out may be about other settings than what is named. */
    if (settings->complaint_count == SETTINGS_COMPLAINTS_MAX - 1) {
        keep(settings, strdup("more is wrong with the settings than is said here"));
        return;
    }
    va_start(arguments, format);
    int n = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (n < 0)
        return;
    keep(settings, text_for_people(line, (size_t)n));
    free(line);
}

static bool is_type(const struct settings_row *row, const char *type)
{
    return strcmp(row->type, type) == 0;
}

/* Before the row's range. */
static const char *problem_of(const struct settings_row *row)
{
    if (is_type(row, "BOOLEAN") || is_type(row, "CHOICE"))
        return "is not one of";
    if (is_type(row, "HEADER"))
        return "is not";
    if (is_type(row, "ENDPOINT") || is_type(row, "URL"))
        return "is no URL like";
    return "is no number in";
}

void complaints_add_value(struct settings *settings, const struct settings_row *row, const char *value)
{
    const char *used = is_type(row, "BOOLEAN") ? "false" : row->initial;

    if (is_type(row, "LIST"))
        complaints_add(settings, "%s: \"%.80s\" has a word that is not one of %s; it is passed over", row->name, value,
                       row->range);
    else if (is_type(row, "GLOBS") || is_type(row, "ROUTES"))
        complaints_add(settings, "%s: \"%.80s\" should be %s; what is not is passed over", row->name, value,
                       row->range);
    else
        complaints_add(settings, "%s: \"%.80s\" %s %s; %s is %s", row->name, value, problem_of(row), row->range,
                       used[0] != '\0' ? used : "it", used[0] != '\0' ? "used" : "ignored");
}

/* Does the agent read it, too, and complain of it? */
static bool is_of_agent(const char *name)
{
    for (size_t n = 0; n < settings_row_of_shim(); n++)
        if (strcmp(settings_row(n)->name, name) == 0)
            return true;
    return false;
}

void complaints_add_shim(struct settings *settings, const struct config *shim)
{
    const size_t first = settings_row_of_shim();

    for (size_t n = 0; n < CONFIG_ROW_COUNT; n++) {
        const struct settings_row *row = settings_row(first + n);
        bool is_bad = (shim->bad >> n & 1) != 0;
        bool is_bad_in_part = is_type(row, "GLOBS"); /* the other patterns are used */

        settings->in_force[first + n] = shim->values[n] != NULL && (!is_bad || is_bad_in_part);
        if (is_bad && !is_of_agent(row->name))
            complaints_add_value(settings, row, shim->values[n]);
    }
}

static bool is_setting(const char *name)
{
    const struct settings_row *row;

    for (size_t n = 0; (row = settings_row(n)) != NULL; n++)
        if (strcmp(row->name, name) == 0)
            return true;
    return false;
}

/* NULL: none is near. */
static const char *nearest_setting(const char *name)
{
    struct nearest nearest = {.wanted = name};
    const struct settings_row *row;

    for (size_t n = 0; (row = settings_row(n)) != NULL; n++)
        nearest_offer(&nearest, row->name);
    return nearest.name;
}

void complaints_add_unknown(struct settings *settings, const char *const *entries, size_t entry_count)
{
    /* No further than complaints are kept: to look for the nearest name takes time, and entries may be many. */
    for (size_t i = 0; i < entry_count && settings->complaint_count < SETTINGS_COMPLAINTS_MAX; i++) {
        char name[64];
        size_t length = strcspn(entries[i], "=");

        if (strncmp(entries[i], "SPANSHIM_", strlen("SPANSHIM_")) != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)length, entries[i]);
        if (is_setting(name)) /* first of all: this is done for each program, and to find the nearest takes long */
            continue;
        const char *meant = nearest_setting(name);
        if (meant != NULL)
            complaints_add(settings, "%s is no setting and ignored; did you mean %s?", name, meant);
        else
            complaints_add(settings, "%s is no setting and ignored", name);
    }
}

void complaints_add_file(struct settings *settings, const char *problem)
{
    long number = strtol(problem, NULL, 10);

    if (number < 0)
        complaints_add(settings, "the system's file of settings: %s; it is ignored", strerror((int)-number));
    else
        complaints_add(settings, "the system's file of settings, line %ld: not NAME=value; it is passed over", number);
}
