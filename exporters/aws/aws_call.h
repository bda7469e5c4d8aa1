/* SPDX-License-Identifier: Apache-2.0 */
/* Signed requests to one of AWS's services. Credentials and region are found first (identity.h). A request that is
 * refused for its time is sent once more by the service's clock; one that is refused for its credentials once more when
 * others can be had. What is left is the caller's: aws_answer.h says what an answer means. */
#ifndef SPANSHIM_AWS_CALL_H
#define SPANSHIM_AWS_CALL_H

#include "exporters/agent/http_client.h"

#include <stdbool.h>
#include <stddef.h>

struct aws_call;
struct exporter_host; /* exporters/exporter.h */
struct settings;

/* Texts are borrowed, and outlive the call. */
struct aws_options {
    const char *service;             /* as signatures name it: "xray" */
    const char *url;                 /* where it is; NULL: https://SERVICE.REGION.amazonaws.com */
    const char *region;              /* NULL: to be found */
    const struct http_options *http; /* all but the URL; copied */
};

/* 0 or -errno. Context: loop. */
int aws_call_new(const struct exporter_host *host, const struct settings *settings, const struct aws_options *options,
                 struct aws_call **ret_call);
/* A request under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void aws_call_free(struct aws_call *call);

struct aws_request {
    const char *path;   /* added to the URL; copied */
    const char *target; /* X-Amz-Target: the operation, where the path doesn't say it; NULL: none */
    const char *content_type;
    const void *body; /* borrowed until done, and the type and the target too */
    size_t length;
};

/* POST it. done is called once, later, from the loop; a response without a status says why in `failure`. One request at
 * a time: -EBUSY; -ENOMEM, -ENAMETOOLONG. Context: loop. */
int aws_call_post(struct aws_call *call, const struct aws_request *request, http_done *done, void *arg);

/* Where a service is; false: `out` is too small. Context: pure. */
bool aws_call_url(const char *service, const char *region, char *out, size_t size);

/* Where its credentials came from, for people. Context: pure. */
const char *aws_call_origin(const struct aws_call *call);

#endif
