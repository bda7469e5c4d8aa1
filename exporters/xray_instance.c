/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/xray_instance.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/xray_place.h"
#include "exporters/aws/metadata.h"
#include "exporters/encode/json_access.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_PATH "/latest/dynamic/instance-identity/document"

/* An instance that starts may be asked too early. */
enum { AGAIN_S = 60 };

struct xray_instance {
    struct loop *loop;
    struct metadata *metadata;
    struct loop_timer timer;
    json_t *facts;
    bool is_told; /* that it does not answer */
};

const json_t *xray_instance_facts(const struct xray_instance *instance)
{
    return instance != NULL ? instance->facts : NULL;
}

/* The document's members by the names that segments have. NULL: it is none. */
static json_t *read_document(const char *text, size_t length)
{
    static const char *const names[][2] = {{"instance_id", "instanceId"},
                                           {"instance_size", "instanceType"},
                                           {"ami_id", "imageId"},
                                           {"availability_zone", "availabilityZone"}};
    json_t *document = json_loadb(text, length, 0, NULL), *ec2 = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = json_text_of(document, names[i][1]);

        if (value != NULL)
            json_set(ec2, names[i][0], json_string(value));
    }
    json_decref(document);
    if (json_object_size(ec2) > 0)
        return json_pack("{s:{s:o}}", "aws", "ec2", ec2);
    json_decref(ec2);
    return NULL;
}

static void complain(struct xray_instance *instance, const struct http_response *response)
{
    if (!instance->is_told && response->status == 0)
        log_line(LOG_LEVEL_WARN, "SPANSHIM_XRAY_PLUGINS: ec2: the metadata service does not answer: %s",
                 response->failure);
    else if (!instance->is_told)
        log_line(LOG_LEVEL_WARN,
                 "SPANSHIM_XRAY_PLUGINS: ec2: the metadata service answers %d, and no identity document",
                 response->status);
    instance->is_told = true;
}

static void on_answer(void *arg, const struct http_response *response)
{
    struct xray_instance *instance = arg;

    if (response->status == 200)
        instance->facts = read_document(response->body, response->body_length);
    if (instance->facts != NULL)
        return;
    complain(instance, response);
    (void)loop_timer_set(instance->loop, &instance->timer, AGAIN_S * NS_PER_S);
}

static void ask(void *arg)
{
    struct xray_instance *instance = arg;
    int r = metadata_get(instance->metadata, IDENTITY_PATH, on_answer, instance);

    if (r < 0)
        on_answer(instance, &(struct http_response){.failure = strerror(-r)});
}

int xray_instance_new(const struct exporter_host *host, const struct settings *settings,
                      struct xray_instance **ret_instance)
{
    struct xray_instance *instance;

    *ret_instance = NULL;
    if (!xray_place_names(settings, "ec2") || settings->aws_metadata_disabled)
        return 0;
    instance = calloc(1, sizeof(*instance));
    int r = instance != NULL ? metadata_new(host, settings, &instance->metadata) : -ENOMEM;
    if (r < 0) {
        free(instance);
        return r;
    }
    instance->loop = host->loop;
    instance->timer = (struct loop_timer){.fn = ask, .arg = instance};
    ask(instance);
    *ret_instance = instance;
    return 0;
}

void xray_instance_free(struct xray_instance *instance)
{
    if (instance == NULL)
        return;
    loop_timer_clear(instance->loop, &instance->timer);
    metadata_free(instance->metadata);
    json_decref(instance->facts);
    free(instance);
}
