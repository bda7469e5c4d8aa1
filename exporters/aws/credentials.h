/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of AWS: what a request is signed with. */
#ifndef SPANSHIM_AWS_CREDENTIALS_H
#define SPANSHIM_AWS_CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>

/* All zero: there are none. */
struct credentials {
    char *access_key_id, *secret;
    char *token;        /* of a session; NULL: they belong to a user */
    uint64_t expires_s; /* Unix time; 0: never */
};

/* Copies. 0, -ENOMEM, or -EINVAL: something is missing, or can't stand in a header. Context: loop. */
int credentials_set(struct credentials *credentials, const char *access_key_id, const char *secret, const char *token,
                    uint64_t expires_s);

/* As containers and instances get them: JSON. 0, -ENOMEM, or -EBADMSG: there are none in it. Context: loop. */
int credentials_parse(struct credentials *credentials, const char *text, size_t length);

/* Overwritten before they are freed. Context: loop. */
void credentials_deinit(struct credentials *credentials);

#endif
