/* SPDX-License-Identifier: Apache-2.0 */
/* What an EC2 instance says of itself, for segments: asked of its metadata service once, when SPANSHIM_XRAY_PLUGINS has
 * ec2. Segments that go before the answer is there go without. Used by xray.c. */
#ifndef SPANSHIM_XRAY_INSTANCE_H
#define SPANSHIM_XRAY_INSTANCE_H

#include <jansson.h>

struct exporter_host; /* exporters/exporter.h */
struct settings;
struct xray_instance;

/* Ask. *ret_instance is NULL when it isn't wanted. 0 or -errno. The settings outlive it. Context: loop. */
int xray_instance_new(const struct exporter_host *host, const struct settings *settings,
                      struct xray_instance **ret_instance);
/* NULL is accepted. Context: loop. */
void xray_instance_free(struct xray_instance *instance);

/* {"aws": {"ec2": {...}}}, borrowed; NULL: nothing is known, or wanted. Context: loop. */
const json_t *xray_instance_facts(const struct xray_instance *instance);

#endif
