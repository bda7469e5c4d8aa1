/* SPDX-License-Identifier: Apache-2.0 */
/* Where and how one program's telemetry is exported: its environment as config.def reads it. Made by intake.c from a
 * hand-over, used by destinations.c and the exporters. A bad value never fails: a complaint says what is used
 * instead. */
#ifndef SPANSHIM_SETTINGS_H
#define SPANSHIM_SETTINGS_H

#include "exporters/encode/otlp_limits.h"
#include "exporters/exporter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SETTINGS_DIGEST_SIZE = 20,
    SETTINGS_PAIRS_MAX = 64,
    SETTINGS_COMPLAINTS_MAX = 32,
    SETTINGS_EXPORTERS_MAX = 8,
    SETTINGS_ROWS_MAX = 192,
    SETTINGS_REGION_SIZE = 33
};

#define SETTINGS_NO_LIMIT      UINT32_MAX
#define SETTINGS_GRPC_ENDPOINT "http://localhost:4317" /* where none is set */

struct routes;

struct settings_pair {
    char *name;
    char *value;
};

struct settings_pairs {
    struct settings_pair *pairs;
    size_t count;
};

/* How OTLP of one signal is sent: its own settings, and for the rest those of all signals. */
struct settings_otlp {
    char *url; /* where it is posted, complete; gRPC's too */
    struct settings_pairs headers;
    const char *protocol, *compression;
    char *const *certificate, *const *client_certificate, *const *client_key; /* paths; NULL: none */
    uint32_t timeout_ms;                                                      /* of one request; 0: no limit */
    struct otlp_limits limits;
    bool is_signed;                    /* with credentials of AWS */
    char region[SETTINGS_REGION_SIZE]; /* for that, as the URL says it; empty: it doesn't */
};

/* How records wait for a destination. */
struct settings_batches {
    uint32_t delay_ms, size, queue_size; /* 0: no bound of the queue */
};

typedef bool settings_type_BOOLEAN;
typedef uint32_t settings_type_INTEGER, settings_type_LIMIT, settings_type_DURATION, settings_type_TIMEOUT;
typedef char *settings_type_CHOICE, *settings_type_LIST; /* in lower case */
typedef char *settings_type_NAME, *settings_type_TEXT, *settings_type_PATH, *settings_type_ENDPOINT, *settings_type_URL;
typedef char *settings_type_SECRET;
typedef struct routes *settings_type_ROUTES; /* NULL: none */
typedef struct settings_pairs settings_type_PAIRS, settings_type_SECRET_PAIRS;

/* Texts are NULL when unset and never empty. */
struct settings {
    uint32_t refs; /* loop only */
    uid_t uid;     /* whose they are */
#define SETTING(NAME, field, TYPE, initial, range, help) settings_type_##TYPE field;
#define SETTING_ALSO(...)
#include "exporters/agent/config.def"
#undef SETTING
#undef SETTING_ALSO
    /* Worked out of the above (settle.c), but for the digest and the complaints. */
    char *exporters[SETTINGS_EXPORTERS_MAX]; /* names of the destinations, no duplicates */
    size_t exporter_count;
    char *log_exporters[SETTINGS_EXPORTERS_MAX]; /* the same of logs: names as exporters.def has them */
    size_t log_exporter_count;
    struct settings_otlp otlp[SIGNAL_COUNT];
    struct settings_batches batches[SIGNAL_COUNT];
    char *rollbar_url;                    /* where items are posted */
    int request_lines;                    /* enum request_lines (preload/config.h), as the shim has it */
    int xray_mode;                        /* enum xray_mode (preload/config.h), as the shim has it */
    uint16_t secrets_mark;                /* of a hash of the receivers' URLs and of all secrets: tells sets apart that
                                             send to the same place with different tokens; too little to tell more */
    uint8_t digest[SETTINGS_DIGEST_SIZE]; /* equal for settings of one user that export to the same places in the same
                                             way */
    char *complaints[SETTINGS_COMPLAINTS_MAX];
    size_t complaint_count;
    bool in_force[SETTINGS_ROWS_MAX]; /* by row: its own value is, not a default */
};

/* Read "NAME=value" entries (borrowed); names that config.def doesn't have are passed over, the first of a repeated one
 * counts. working_directory: what relative paths count from; may be NULL. NULL when out of memory. Context: loop. */
struct settings *settings_new(const char *const *entries, size_t entry_count, const char *working_directory);

/* They are this user's: settings of different users never export together. Of one who isn't trusted no file is opened,
 * for that would be done with our rights, and the queue is bounded. Context: loop. */
void settings_give_to(struct settings *settings, uid_t uid, bool is_trusted, uint32_t queue_bytes_max);

/* Context: loop. */
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);

/* How many complaints there are, and each: one line for people, without secrets. Context: pure. */
size_t settings_complaint_count(const struct settings *settings);
const char *settings_complaint(const struct settings *settings, size_t n);

/* A row of the agent's config.def, then of the shim's: NULL past the end. Context: pure. */
struct settings_row {
    const char *name, *type, *initial, *range, *help;
};
const struct settings_row *settings_row(size_t n);

/* What is in force for row n, where `given` (or NULL) is the text that was found for it: as it may be shown, so "set"
 * for a secret, and a URL without user and query. Empty: nothing. Context: pure. */
void settings_show(const struct settings *settings, size_t n, const char *given, char *out, size_t size);

/* Does OTLP of this signal go by gRPC? Context: pure. */
bool settings_is_grpc(const struct settings *settings, enum signal signal);

/* The value of the first "NAME=value" entry with this name (borrowed), or NULL. Context: pure. */
const char *settings_find_entry(const char *const *entries, size_t entry_count, const char *name);

/* Was it set, and to something that can be used? Context: pure. */
bool settings_was_given(const struct settings *settings, const char *name);

/* Was it set to something that can't be used? What has a receiver of its own must not go to another one because its
 * address has a slip in it. Context: pure. */
bool settings_is_refused(const struct settings *settings, const char *const *entries, size_t entry_count,
                         const char *name);

/* The number of the first row of the shim's, which are in the order of enum config_row. Context: pure. */
size_t settings_row_of_shim(void);

#endif
