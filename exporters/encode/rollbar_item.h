/* SPDX-License-Identifier: Apache-2.0 */
/* A report (exporters/crash/report.h) as a Rollbar item: the JSON of one POST to /api/1/item/. Called by rollbar.c. */
#ifndef SPANSHIM_ROLLBAR_ITEM_H
#define SPANSHIM_ROLLBAR_ITEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Limits of Rollbar's, in bytes. */
enum {
    ROLLBAR_TEXT_MAX = 255, /* environment, context, title, class of an exception */
    ROLLBAR_CODE_VERSION_MAX = 40,
    ROLLBAR_PERSON_ID_MAX = 40,
    ROLLBAR_UUID_MAX = 36,
    ROLLBAR_TELEMETRY_MAX = 50, /* the newest */
};

/* Texts may be NULL: what the report says counts, or nothing. */
struct rollbar_options {
    const char *environment;
    const char *code_version;
    const char *root;        /* where the source is */
    const char *fingerprint; /* NULL: Rollbar groups as it likes */
    bool has_arguments;      /* the program's may be shown */
    uint64_t suppressed;     /* items of its kind that were not sent */
};

/* A new item, {"data": {..}}, or NULL when out of memory. Context: pure. */
json_t *rollbar_item(const json_t *report, const struct rollbar_options *options);

/* What is sent when even a trimmed item is too large: a message that says which report was lost, with its uuid, so that
 * it takes the item's place. NULL when out of memory. Context: pure. */
json_t *rollbar_item_of_lost(const json_t *item);

#endif
