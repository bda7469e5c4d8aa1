/* SPDX-License-Identifier: Apache-2.0 */
/* Who signs requests to AWS, and in which region: credentials and region, found in the order of AWS's SDKs - the
 * program's environment, the shared files, the container's endpoint, the instance's metadata - and loaded anew five
 * minutes before they expire. Used by aws_call.c. */
#ifndef SPANSHIM_AWS_IDENTITY_H
#define SPANSHIM_AWS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct credentials;   /* aws/credentials.h */
struct exporter_host; /* exporters/exporter.h */
struct identity;
struct settings;

enum { IDENTITY_ERROR_MAX = 256, IDENTITY_EARLY_S = 300 };

/* Borrowed until done returns. */
struct identity_answer {
    const struct credentials *credentials; /* NULL: there are none */
    const char *region;                    /* NULL: it isn't known */
    const char *error;                     /* one line for people, with the remedy; NULL when both are there */
};

typedef void identity_done(void *arg, const struct identity_answer *answer);

/* region: known already, or NULL. 0 or -errno. The settings outlive it. Context: loop. */
int identity_new(const struct exporter_host *host, const struct settings *settings, const char *region,
                 struct identity **ret_identity);
/* A request under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void identity_free(struct identity *identity);

/* Call done once, now or later. One request at a time. now_s: Unix time, as far as it is known better than by the
 * clock. Context: loop. */
void identity_get(struct identity *identity, uint64_t now_s, identity_done *done, void *arg);

/* May others be found where the credentials came from? A program's environment stays. Context: pure. */
bool identity_may_change(const struct identity *identity);

/* The service refuses the credentials: they are loaded anew the next time. Context: loop. */
void identity_distrust(struct identity *identity);

/* Where the credentials came from, for people: "AWS_ACCESS_KEY_ID". Context: pure. */
const char *identity_origin(const struct identity *identity);

#endif
