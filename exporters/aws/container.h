/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint that a container's orchestrator (ECS, EKS Pod Identity) gives credentials at. Used by identity.c. */
#ifndef SPANSHIM_AWS_CONTAINER_H
#define SPANSHIM_AWS_CONTAINER_H

#include "exporters/agent/http_client.h"

#include <stdbool.h>

struct container;
struct exporter_host; /* exporters/exporter.h */
struct settings;

/* Do the settings name one? Context: pure. */
bool container_is_set(const struct settings *settings);

/* Is the URL one that credentials may be asked of: https, this machine, or an orchestrator's own address?
 * Context: pure. */
bool container_may_ask(const char *url);

/* 0 or -errno. The settings outlive it. Context: loop. */
int container_new(const struct exporter_host *host, const struct settings *settings, struct container **ret_container);
/* NULL is accepted. Context: loop. */
void container_free(struct container *container);

/* Ask; done gets the answer later, from the loop. 0, or -errno with one line in `error`. Context: loop. */
int container_get(struct container *container, char error[256], http_done *done, void *arg);

#endif
