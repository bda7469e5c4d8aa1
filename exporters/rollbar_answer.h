/* SPDX-License-Identifier: Apache-2.0 */
/* What Rollbar's answer to an item means. Called by rollbar.c. */
#ifndef SPANSHIM_ROLLBAR_ANSWER_H
#define SPANSHIM_ROLLBAR_ANSWER_H

#include <stddef.h>
#include <stdint.h>

struct exporter_result;
struct http_response;

enum { ROLLBAR_TOO_LARGE = 413, ROLLBAR_HOLD_MS = 60000, ROLLBAR_HOLD_MAX_MS = 300000 };

/* token: must not be shown, whatever an answer says. Context: loop, within the response's done. */
void rollbar_answer_read(const struct http_response *response, const char *shown_url, const char *token,
                         struct exporter_result *ret_result);

/* How long nothing is sent after "429 too many": what X-Rate-Limit-Remaining-Seconds or else X-Rate-Limit-Reset (in
 * unix seconds) says, within 1 s and ROLLBAR_HOLD_MAX_MS; ROLLBAR_HOLD_MS where neither is a number. Texts may be NULL.
 * Context: pure. */
uint32_t rollbar_answer_hold_ms(const char *remaining_s, const char *reset_unix_s, int64_t now_unix_s);

#endif
