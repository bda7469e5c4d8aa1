/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/credentials.h"

#include "exporters/aws/small_file.h"
#include "exporters/encode/json_access.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One that can stand in a header without ending it. */
static bool is_word(const char *text)
{
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

int credentials_set(struct credentials *credentials, const char *access_key_id, const char *secret, const char *token,
                    uint64_t expires_s)
{
    if (!is_word(access_key_id) || !is_word(secret) || (token != NULL && !is_word(token)))
        return -EINVAL;
    struct credentials made = {
        .access_key_id = strdup(access_key_id),
        .secret = strdup(secret),
        .token = token != NULL ? strdup(token) : NULL,
        .expires_s = expires_s,
    };
    if (made.access_key_id == NULL || made.secret == NULL || (token != NULL && made.token == NULL)) {
        credentials_deinit(&made);
        return -ENOMEM;
    }
    credentials_deinit(credentials);
    *credentials = made;
    return 0;
}

/* "2026-01-31T12:00:00Z"; 0: it says nothing. */
static uint64_t parse_time(const char *text)
{
    struct tm utc = {0};

    if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) == NULL)
        return 0;
    time_t seconds = timegm(&utc);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

int credentials_parse(struct credentials *credentials, const char *text, size_t length)
{
    json_t *answer = json_loadb(text, length, 0, NULL);
    int r = credentials_set(credentials, json_text_of(answer, "AccessKeyId"), json_text_of(answer, "SecretAccessKey"),
                            json_text_of(answer, "Token"), parse_time(json_text_of(answer, "Expiration")));

    json_decref(answer);
    return r == -EINVAL ? -EBADMSG : r;
}

void credentials_deinit(struct credentials *credentials)
{
    small_file_free(credentials->access_key_id);
    small_file_free(credentials->secret);
    small_file_free(credentials->token);
    *credentials = (struct credentials){0};
}
