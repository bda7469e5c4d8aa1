/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata service of an EC2 instance (IMDSv2): each path is asked for with a token of the service's own. Nothing
 * is asked unless the settings say that it may be. */
#ifndef SPANSHIM_AWS_METADATA_H
#define SPANSHIM_AWS_METADATA_H

#include "exporters/agent/http_client.h"

#include <stdbool.h>

struct exporter_host; /* exporters/exporter.h */
struct metadata;
struct settings;

/* May it be asked? Context: pure. */
bool metadata_is_allowed(const struct settings *settings);

/* 0 or -errno. The settings outlive it. Context: loop. */
int metadata_new(const struct exporter_host *host, const struct settings *settings, struct metadata **ret_metadata);
/* A request under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void metadata_free(struct metadata *metadata);

/* GET this path ("/latest/meta-data/..."; copied). done gets the answer, or the one that kept the token from us; later,
 * from the loop. One request at a time: -EBUSY; -ENOMEM, -ENAMETOOLONG. Context: loop. */
int metadata_get(struct metadata *metadata, const char *path, http_done *done, void *arg);

#endif
