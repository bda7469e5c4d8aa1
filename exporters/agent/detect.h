/* SPDX-License-Identifier: Apache-2.0 */
/* What can be found out about where a process runs, as attributes of its resource. One function for each word of
 * SPANSHIM_RESOURCE_DETECTORS; resource.c calls them. What isn't certain is left out. */
#ifndef SPANSHIM_DETECT_H
#define SPANSHIM_DETECT_H

#include <stdbool.h>
#include <stddef.h>

struct resource;
struct resource_facts;

enum { DETECT_ID_MAX = 96 };

/* process.executable.*, process.command, process.runtime.*. Context: loop. */
void detect_process(struct resource *resource, const struct resource_facts *facts);

/* container.id. Context: loop. */
void detect_container(struct resource *resource, const struct resource_facts *facts);

/* k8s.*, in a pod. Context: loop. */
void detect_kubernetes(struct resource *resource, const struct resource_facts *facts);

/* host.*. Context: loop. */
void detect_host(struct resource *resource, const struct resource_facts *facts);

/* os.*. Context: loop. */
void detect_os(struct resource *resource, const struct resource_facts *facts);

/* The container's id in the text of /proc/PID/cgroup, or else /proc/PID/mountinfo; the pod's uid. Empty: none.
 * Context: pure. */
void detect_id_in_cgroup(const char *cgroup, char id[DETECT_ID_MAX]);
void detect_id_in_mounts(const char *mountinfo, char id[DETECT_ID_MAX]);
void detect_pod_in_cgroup(const char *cgroup, char uid[DETECT_ID_MAX]);
void detect_pod_in_mounts(const char *mountinfo, char uid[DETECT_ID_MAX]);

/* The value of NAME=value in a file of shell variables (os-release, a JDK's release), without quotes. False: it isn't
 * there. Context: pure. */
bool detect_variable(const char *text, const char *name, char *value, size_t size);

#endif
