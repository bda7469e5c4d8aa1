/* SPDX-License-Identifier: Apache-2.0 */
/* What AWS says when it takes a request, or doesn't. */
#ifndef SPANSHIM_AWS_ANSWER_H
#define SPANSHIM_AWS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct exporter_result; /* exporters/exporter.h */
struct http_response;   /* agent/http_client.h */

enum { AWS_CODE_MAX = 64, AWS_WORDS_MAX = 120, AWS_SAID_SIZE = 256 };

/* A text of AWS's as part of a line: valid, bounded by `size` and AWS_WORDS_MAX. Context: pure. */
void aws_answer_words(const char *text, char *out, size_t size);

/* The name of the error, without what stands around it: "ExpiredTokenException"; or empty. Context: pure, within
 * done. */
void aws_answer_code(const struct http_response *response, char out[AWS_CODE_MAX]);

/* Are the credentials refused, so that others may do? Context: pure. */
bool aws_answer_is_about_credentials(const char *code);

/* What people are told to look at. */
struct aws_remedies {
    const char *policy;   /* what credentials need: "AWSXRayDaemonWriteAccess" */
    const char *endpoint; /* the setting that says where the service is */
    const char *smaller;  /* what makes a request smaller */
};
extern const struct aws_remedies aws_remedies_xray, aws_remedies_logs;

/* What an answer other than 200 means, with one line: to be tried again, or refused for good. origin: where the
 * credentials came from. Context: pure, within done. */
void aws_answer_read(const struct http_response *response, const char *origin, const struct aws_remedies *remedies,
                     struct exporter_result *ret_result);

/* What goes wrong each time is said once, until something else is said or all is well. said: what was said last; empty
 * at first. Context: pure. */
void aws_answer_say_once(char said[AWS_SAID_SIZE], struct exporter_result *result);

#endif
