/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own settings as a table: a row of config.def, and which field of struct settings it fills. settings.c has
 * the table, settings_read.c fills fields by it. */
#ifndef SPANSHIM_SETTINGS_FIELDS_H
#define SPANSHIM_SETTINGS_FIELDS_H

#include "exporters/agent/settings.h"

#include <stdbool.h>
#include <stddef.h>

/* As config.def names them. */
enum settings_type {
    BOOLEAN,
    INTEGER,
    LIMIT,
    DURATION,
    TIMEOUT,
    CHOICE,
    LIST,
    NAME,
    TEXT,
    PATH,
    ENDPOINT,
    URL,
    SECRET,
    PAIRS,
    SECRET_PAIRS,
    ROUTES
};

struct settings_field {
    struct settings_row row;
    enum settings_type type;
    bool also; /* another name of a field that has its own row */
    size_t offset;
};

enum {
#define SETTING(NAME, ...) SETTINGS_FIELD_##NAME,
#define SETTING_ALSO       SETTING
#include "exporters/agent/config.def"
#undef SETTING
#undef SETTING_ALSO
    SETTINGS_FIELD_COUNT
};

extern const struct settings_field settings_fields[SETTINGS_FIELD_COUNT];

/* Fill the fields: with their initial values, then with those of the "NAME=value" entries. Relative paths are below
 * `working_directory`, if it is known. What is wrong is among the complaints. 0 or -ENOMEM. Context: loop. */
int settings_read(struct settings *settings, const char *const *entries, size_t entry_count,
                  const char *working_directory);

#endif
