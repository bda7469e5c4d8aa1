/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of the files that AWS's tools share: ~/.aws/credentials and ~/.aws/config. Used by identity.c. */
#ifndef SPANSHIM_AWS_PROFILE_H
#define SPANSHIM_AWS_PROFILE_H

#include <stdbool.h>

struct settings; /* agent/settings.h */

/* Texts are NULL where the files don't say it. */
struct profile {
    char *access_key_id, *secret, *token;
    char *region;
    char *unsupported; /* the name of what it gets its credentials by: "role_arn" */
};

enum profile_file { PROFILE_OF_CREDENTIALS, PROFILE_OF_CONFIG };

/* Add what this file's text (changed by this) says of the profile; what is there already stays. 0 or -ENOMEM.
 * Context: loop. */
int profile_add(struct profile *profile, enum profile_file file, const char *name, char *text);

/* The profile that the settings name, by the files that they name. A file that isn't there is empty. 0, -ENOMEM, or
 * -errno: a file can't be read, or is not a plain one. Context: loop. */
int profile_read(const struct settings *settings, struct profile *ret_profile);

/* Context: loop. */
void profile_deinit(struct profile *profile);

#endif
