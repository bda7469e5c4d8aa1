/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the log group and the log stream that CloudWatch Logs says aren't there. Used by cloudwatch.c. */
#ifndef SPANSHIM_CLOUDWATCH_CREATE_H
#define SPANSHIM_CLOUDWATCH_CREATE_H

#include "exporters/encode/buffer.h"
#include "exporters/exporter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aws_call;      /* aws/aws_call.h */
struct http_response; /* agent/http_client.h */

/* Its owner's storage; all zero at first. */
struct cloudwatch_create {
    struct aws_call *call;   /* borrowed */
    uint32_t retention_days; /* of a group that is made; 0: for ever */
    json_t *names;           /* logGroupName, logStreamName */
    struct buffer body;
    bool has_made_group;
    char advice[256];
    exporter_done *done;
    void *arg;
};

/* Make the stream that this body of a PutLogEvents call (read, not kept) names, and its group if need be. done is
 * called once, later: EXPORTER_SENT, they are there (`error`: a line of advice); or as aws_answer_read says. Nothing
 * else may be under way. 0 or -errno. Context: loop. */
int cloudwatch_create_start(struct cloudwatch_create *create, const char *body, size_t length, exporter_done *done,
                            void *arg);

/* Context: loop. */
void cloudwatch_create_deinit(struct cloudwatch_create *create);

#endif
