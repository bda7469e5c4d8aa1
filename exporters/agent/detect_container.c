/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/detect.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/resource.h"
#include "preload/wire.h"

#include <stdio.h>
#include <string.h>

enum { ID_LENGTH = 64, TASK_ID_LENGTH = 32, UID_LENGTH = 36, FILE_MAX = 64 << 10 };

static const char hex[] = "0123456789abcdef";

/* A file of the process that is looked into; loop only. */
static char text[FILE_MAX];

static bool is_container_id(const char *bytes, size_t length)
{
    size_t digits = strspn(bytes, hex);

    if (length == ID_LENGTH)
        return digits == ID_LENGTH;
    /* Fargate: the task's id and a number. */
    return length > TASK_ID_LENGTH + 1 && digits == TASK_ID_LENGTH && bytes[TASK_ID_LENGTH] == '-' &&
           strspn(bytes + TASK_ID_LENGTH + 1, "0123456789") == length - TASK_ID_LENGTH - 1;
}

/* A folder of a control group: ID, docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, ...:cri-containerd:ID */
static bool read_segment(const char *bytes, size_t length, char id[DETECT_ID_MAX])
{
    static const char scope[] = ".scope", monitor[] = "conmon";
    const char *mark;

    if (length > strlen(scope) && memcmp(bytes + length - strlen(scope), scope, strlen(scope)) == 0)
        length -= strlen(scope);
    mark = bytes + length;
    while (mark > bytes && mark[-1] != '-' && mark[-1] != ':')
        mark--;
    if (memmem(bytes, (size_t)(mark - bytes), monitor, strlen(monitor)) != NULL)
        return false; /* who watches the container */
    if (!is_container_id(bytes, length)) {
        length -= (size_t)(mark - bytes);
        bytes = mark;
    }
    if (!is_container_id(bytes, length))
        return false;
    (void)snprintf(id, DETECT_ID_MAX, "%.*s", (int)length, bytes);
    return true;
}

/* The innermost container of a path. */
static bool read_path(const char *path, size_t length, char id[DETECT_ID_MAX])
{
    while (length > 0) {
        size_t start = length;

        while (start > 0 && path[start - 1] != '/')
            start--;
        if (read_segment(path + start, length - start, id))
            return true;
        length = start > 0 ? start - 1 : 0;
    }
    return false;
}

/* A pod's uid behind "pod" (control groups, where systemd writes _ for -) or "pods/" (the kubelet's folders). */
static bool read_pod(const char *line, size_t length, const char *before, char uid[DETECT_ID_MAX])
{
    const char *end = line + length;
    size_t skip = strlen(before);

    for (const char *at = line; (at = memmem(at, (size_t)(end - at), before, skip)) != NULL; at += skip) {
        const char *from = at + skip;
        size_t i = 0;

        for (; i < UID_LENGTH && from + i < end; i++) {
            bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

            if (is_dash ? from[i] != '-' && from[i] != '_' : memchr(hex, from[i], 16) == NULL)
                break;
            uid[i] = from[i] == '_' ? '-' : from[i];
        }
        uid[i] = '\0';
        if (i == UID_LENGTH)
            return true;
    }
    uid[0] = '\0';
    return false;
}

void detect_id_in_cgroup(const char *cgroup, char id[DETECT_ID_MAX])
{
    id[0] = '\0';
    for (; *cgroup != '\0'; cgroup += strcspn(cgroup, "\n"), cgroup += *cgroup == '\n') {
        size_t length = strcspn(cgroup, "\n");
        const char *path = memchr(cgroup, '/', length); /* behind number and controllers */

        if (path != NULL && read_path(path, length - (size_t)(path - cgroup), id))
            return;
    }
}

void detect_pod_in_cgroup(const char *cgroup, char uid[DETECT_ID_MAX])
{
    (void)read_pod(cgroup, strlen(cgroup), "pod", uid);
}

/* Field n (from 1) of a line. */
static const char *field(const char *line, int n, size_t *ret_length)
{
    for (; n > 1 && *line != '\n' && *line != '\0'; n--)
        line += strcspn(line, " \n") + (line[strcspn(line, " \n")] == ' ');
    *ret_length = strcspn(line, " \n");
    return line;
}

static bool is_text(const char *bytes, size_t length, const char *wanted)
{
    return strlen(wanted) == length && memcmp(bytes, wanted, length) == 0;
}

/* Where the agent shares the container, control groups show no more than "/". Then the files tell that the engine puts
 * into each container: /var/lib/docker/containers/ID/hostname, .../overlay-containers/ID/userdata/.containerenv. In a
 * pod /etc/hostname is that of its first container, and nothing is said. */
void detect_id_in_mounts(const char *mountinfo, char id[DETECT_ID_MAX])
{
    id[0] = '\0';
    for (; *mountinfo != '\0'; mountinfo += strcspn(mountinfo, "\n"), mountinfo += *mountinfo == '\n') {
        size_t root_length, point_length;
        const char *root = field(mountinfo, 4, &root_length);
        const char *point = field(mountinfo, 5, &point_length);
        bool is_docker = is_text(point, point_length, "/etc/hostname") &&
                         memmem(root, root_length, "/containers/", strlen("/containers/")) != NULL;
        bool is_podman = is_text(point, point_length, "/run/.containerenv") &&
                         memmem(root, root_length, "-containers/", strlen("-containers/")) != NULL;

        if ((is_docker || is_podman) && read_path(root, root_length, id))
            return;
    }
}

void detect_pod_in_mounts(const char *mountinfo, char uid[DETECT_ID_MAX])
{
    uid[0] = '\0';
    for (; *mountinfo != '\0'; mountinfo += strcspn(mountinfo, "\n"), mountinfo += *mountinfo == '\n') {
        size_t root_length, point_length;
        const char *root = field(mountinfo, 4, &root_length);
        const char *point = field(mountinfo, 5, &point_length);

        if ((is_text(point, point_length, "/etc/hosts") || is_text(point, point_length, "/dev/termination-log")) &&
            read_pod(root, root_length, "/pods/", uid))
            return;
    }
}

void detect_container(struct resource *resource, const struct resource_facts *facts)
{
    char id[DETECT_ID_MAX] = "";

    if (facts->number == 0)
        return;
    if (proc_read(facts->number, "cgroup", text, sizeof(text)) > 0)
        detect_id_in_cgroup(text, id);
    if (id[0] == '\0' && proc_read(facts->number, "mountinfo", text, sizeof(text)) > 0)
        detect_id_in_mounts(text, id);
    if (id[0] != '\0')
        resource_add(resource, "container.id", id);
}

static const char *find_variable(const struct resource_facts *facts, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < facts->variable_count; i++)
        if (strncmp(facts->variables[i], name, length) == 0 && facts->variables[i][length] == '=' &&
            facts->variables[i][length + 1] != '\0')
            return facts->variables[i] + length + 1;
    return NULL;
}

/* What the pod's manifest passes on, by the names in use. */
static void add_variables(struct resource *resource, const struct resource_facts *facts)
{
    static const char *const names[][2] = {
#define X(attribute, VARIABLE) {attribute, #VARIABLE},
        WIRE_POD_VARIABLES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = find_variable(facts, names[i][1]);

        if (value != NULL)
            resource_add(resource, names[i][0], value);
    }
}

static void add_pod_uid(struct resource *resource, const struct resource_facts *facts)
{
    char uid[DETECT_ID_MAX] = "";

    if (proc_read(facts->number, "cgroup", text, sizeof(text)) > 0)
        detect_pod_in_cgroup(text, uid);
    if (uid[0] == '\0' && proc_read(facts->number, "mountinfo", text, sizeof(text)) > 0)
        detect_pod_in_mounts(text, uid);
    if (uid[0] != '\0')
        resource_add(resource, "k8s.pod.uid", uid);
}

/* The kubelet sets KUBERNETES_SERVICE_HOST in each container: without it, a variable named NODE_NAME means something
 * else. */
void detect_kubernetes(struct resource *resource, const struct resource_facts *facts)
{
    static const char namespace_file[] = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

    if (find_variable(facts, WIRE_POD_MARK) == NULL)
        return;
    add_variables(resource, facts);
    if (facts->number == 0)
        return;
    add_pod_uid(resource, facts);
    if (proc_read_in_root(facts->number, namespace_file, text, sizeof(text)) > 0) {
        text[strcspn(text, "\n")] = '\0';
        if (text[0] != '\0')
            resource_add(resource, "k8s.namespace.name", text);
    }
}
