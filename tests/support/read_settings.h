/* SPDX-License-Identifier: Apache-2.0 */
/* Settings out of an environment that a test writes down: read_settings(ENTRIES("NAME=value", ...)). */
#ifndef SPANSHIM_READ_SETTINGS_H
#define SPANSHIM_READ_SETTINGS_H

#include "exporters/agent/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ENTRIES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The settings of a program that was started in this folder (NULL: not known). Give them back with settings_unref().
 * Context: test. */
static inline struct settings *read_settings_in(const char *folder, const char *const *entries)
{
    size_t count = 0;

    while (entries[count] != NULL)
        count++;
    struct settings *settings = settings_new(entries, count, folder);
    assert_non_null(settings);
    return settings;
}

/* The same of a program that was started in /srv. Context: test. */
static inline struct settings *read_settings(const char *const *entries)
{
    return read_settings_in("/srv", entries);
}

/* Is this the only complaint about these settings? NULL: there is none. Context: test. */
static inline void assert_complaint(const char *const *entries, const char *expected)
{
    struct settings *settings = read_settings(entries);

    assert_int_equal(settings_complaint_count(settings), expected != NULL ? 1 : 0);
    if (expected != NULL)
        assert_string_equal(settings_complaint(settings, 0), expected);
    settings_unref(settings);
}

#endif
