/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_place.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define BEANSTALK_FILE "/var/elasticbeanstalk/xray/environment.conf"

enum { BEANSTALK_FILE_MAX = 4096 };

struct request {
    struct settings *settings;
    const struct resource *resource;
    pid_t number;
    bool is_trusted;
};

/* A member of the plugin's object, by the attribute of the resource that has it. */
struct member {
    const char *name, *attribute;
};

/* NULL: none of them is known. */
static json_t *pack_members(const struct resource *resource, const struct member *members, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++) {
        const char *value = resource_find(resource, members[i].attribute);

        if (value != NULL)
            (void)json_object_set_new(object, members[i].name, json_string(value));
    }
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *make_ecs(const struct request *request)
{
    static const struct member members[] = {
        {"container", "host.name"},
        {"container_id", "container.id"},
        {"container_name", "container.name"},
        {"container_arn", "aws.ecs.container.arn"},
        {"cluster_arn", "aws.ecs.cluster.arn"},
        {"task_arn", "aws.ecs.task.arn"},
        {"task_family", "aws.ecs.task.family"},
        {"launch_type", "aws.ecs.launchtype"},
    };
    json_t *ecs = pack_members(request->resource, members, sizeof(members) / sizeof(members[0]));

    if (ecs == NULL)
        complaints_add(request->settings,
                       "SPANSHIM_XRAY_PLUGINS: ecs: no container is found; see SPANSHIM_RESOURCE_DETECTORS");
    return ecs;
}

static json_t *make_eks(const struct request *request)
{
    static const struct member members[] = {
        {"pod", "k8s.pod.name"},
        {"cluster_name", "k8s.cluster.name"},
        {"container_id", "container.id"},
    };
    json_t *eks = pack_members(request->resource, members, sizeof(members) / sizeof(members[0]));

    if (eks == NULL)
        complaints_add(request->settings, "SPANSHIM_XRAY_PLUGINS: eks: neither a pod nor a container is found; set "
                                          "K8S_POD_NAME and K8S_CLUSTER_NAME");
    return eks;
}

/* Of the file's members, those that X-Ray knows, each of its type. */
static json_t *pick_beanstalk(const json_t *file)
{
    json_t *object = json_object();
    json_t *environment = json_object_get(file, "environment_name"), *version = json_object_get(file, "version_label"),
           *deployment = json_object_get(file, "deployment_id");

    if (json_is_string(environment))
        (void)json_object_set(object, "environment_name", environment);
    if (json_is_string(version))
        (void)json_object_set(object, "version_label", version);
    if (json_is_integer(deployment))
        (void)json_object_set(object, "deployment_id", deployment);
    return object;
}

/* Written by Elastic Beanstalk's platform. */
static json_t *make_beanstalk(const struct request *request)
{
    char text[BEANSTALK_FILE_MAX];
    long r = request->is_trusted ? -ESRCH : -EPERM;

    if (request->is_trusted && request->number != 0)
        r = proc_read_in_root(request->number, BEANSTALK_FILE, text, sizeof(text));
    if (r < 0) {
        complaints_add(request->settings,
                       "SPANSHIM_XRAY_PLUGINS: elasticbeanstalk: " BEANSTALK_FILE " can't be read: %s",
                       strerror((int)-r));
        return NULL;
    }
    json_t *file = json_loads(text, 0, NULL);
    if (!json_is_object(file))
        complaints_add(request->settings,
                       "SPANSHIM_XRAY_PLUGINS: elasticbeanstalk: " BEANSTALK_FILE " is no JSON object");
    json_t *beanstalk = json_is_object(file) ? pick_beanstalk(file) : NULL;
    json_decref(file);
    return beanstalk;
}

/* The most specific first: X-Ray counts a container of Elastic Beanstalk as that, one of ECS not as its instance. */
static const struct plugin {
    const char *word, *origin;
    const char *member; /* of "aws" */
    json_t *(*make)(const struct request *request);
} plugins[] = {
    {"elasticbeanstalk", "AWS::ElasticBeanstalk::Environment", "elastic_beanstalk", make_beanstalk},
    {"eks", "AWS::EKS::Container", "eks", make_eks},
    {"ecs", "AWS::ECS::Container", "ecs", make_ecs},
    {"ec2", "AWS::EC2::Instance", "ec2", NULL},
};

bool xray_place_names(const struct settings *settings, const char *plugin)
{
    const char *list = settings->xray_plugins;
    size_t length = strlen(plugin);

    for (; list != NULL && *list != '\0'; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == length && memcmp(list, plugin, length) == 0)
            return true;
    return false;
}

const char *xray_place_origin(const struct settings *settings)
{
    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++)
        if (xray_place_names(settings, plugins[i].word))
            return plugins[i].origin;
    return NULL;
}

json_t *xray_place_new(struct settings *settings, const struct resource *resource, pid_t number, bool is_trusted)
{
    const struct request request = {settings, resource, number, is_trusted};
    const char *origin = xray_place_origin(settings);
    json_t *aws;

    if (origin == NULL)
        return NULL;
    aws = json_object();
    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        bool is_made = plugins[i].make != NULL && xray_place_names(settings, plugins[i].word);
        json_t *facts = is_made ? plugins[i].make(&request) : NULL;

        if (facts != NULL)
            (void)json_object_set_new(aws, plugins[i].member, facts);
    }
    return json_pack("{s:s, s:o}", "origin", origin, "aws", aws);
}
