/* SPDX-License-Identifier: Apache-2.0 */
/* One of AWS's services: where it is and how it is reached, by the settings. Used by logs_call.c and xray_call.c. */
#ifndef SPANSHIM_AWS_SERVICE_H
#define SPANSHIM_AWS_SERVICE_H

#include <stddef.h>

struct aws_call;
struct exporter_host; /* exporters/exporter.h */
struct settings;

/* Texts are borrowed, and outlive the calls. */
struct aws_service {
    const char *name; /* as signatures and addresses have it: "xray" */
    const char *url;  /* the setting for its own endpoint; NULL: AWS_ENDPOINT_URL's, else AWS's in the region */
};

/* Where it is, and by which profile if one is named, for people. What waits on the disk is told apart by this: another
 * profile may be another account. Context: pure. */
void aws_service_describe(const struct aws_service *service, const struct settings *settings, char *text, size_t size);

/* As aws_call_new. Context: loop. */
int aws_service_call(const struct aws_service *service, const struct exporter_host *host,
                     const struct settings *settings, struct aws_call **ret_call);

#endif
