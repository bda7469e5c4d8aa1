/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/identity.h"

#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/aws/container.h"
#include "exporters/aws/credentials.h"
#include "exporters/aws/metadata.h"
#include "exporters/aws/profile.h"
#include "exporters/exporter.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_PATH   "/latest/meta-data/iam/security-credentials/"
#define REGION_PATH "/latest/meta-data/placement/region"

enum { REGION_SIZE = 33, ROLE_MAX = 128 };

struct identity {
    const struct settings *settings;
    struct container *container; /* NULL: no such endpoint is set */
    struct metadata *metadata;   /* NULL: it may not be asked */
    struct credentials credentials;
    const char *origin;
    bool is_distrusted;
    char region[REGION_SIZE]; /* empty: not known yet */
    char error[IDENTITY_ERROR_MAX];
    identity_done *done;
    void *arg;
};

static void complain(struct identity *identity, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct identity *identity, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(identity->error, sizeof(identity->error), format, arguments);
    va_end(arguments);
}

int identity_new(const struct exporter_host *host, const struct settings *settings, const char *region,
                 struct identity **ret_identity)
{
    struct identity *identity = calloc(1, sizeof(*identity));
    int r = identity != NULL ? 0 : -ENOMEM;

    if (r == 0 && container_is_set(settings))
        r = container_new(host, settings, &identity->container);
    if (r == 0 && metadata_is_allowed(settings))
        r = metadata_new(host, settings, &identity->metadata);
    if (r < 0) {
        identity_free(identity);
        return r;
    }
    identity->settings = settings;
    identity->origin = "";
    (void)snprintf(identity->region, sizeof(identity->region), "%s", region != NULL ? region : "");
    *ret_identity = identity;
    return 0;
}

void identity_free(struct identity *identity)
{
    if (identity == NULL)
        return;
    container_free(identity->container);
    metadata_free(identity->metadata);
    credentials_deinit(&identity->credentials);
    free(identity);
}

const char *identity_origin(const struct identity *identity)
{
    return identity->origin;
}

bool identity_may_change(const struct identity *identity)
{
    return identity->settings->aws_access_key_id == NULL;
}

void identity_distrust(struct identity *identity)
{
    identity->is_distrusted = true;
}

/* ends */

static void finish(struct identity *identity)
{
    bool has_credentials = identity->credentials.access_key_id != NULL;
    bool has_region = identity->region[0] != '\0';
    bool has_all = has_credentials && has_region;

    if (!has_all && identity->error[0] == '\0')
        complain(identity, "no credentials: %s", strerror(ENOMEM));
    const struct identity_answer answer = {
        .credentials = has_credentials ? &identity->credentials : NULL,
        .region = has_region ? identity->region : NULL,
        .error = has_all ? NULL : identity->error,
    };

    identity->done(identity->arg, &answer);
}

/* Old credentials that are still good are better than none. */
static void finish_without(struct identity *identity)
{
    if (identity->is_distrusted)
        credentials_deinit(&identity->credentials);
    finish(identity);
}

/* region */

/* It becomes part of a host's name. */
static bool set_region(struct identity *identity, const char *text, size_t length)
{
    if (length == 0 || length >= REGION_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '-')
            return false;
    memcpy(identity->region, text, length);
    identity->region[length] = '\0';
    return true;
}

static void on_region(void *arg, const struct http_response *response)
{
    struct identity *identity = arg;

    if (response->status != 200 || !set_region(identity, response->body, response->body_length))
        complain(identity, "no region: the instance's metadata service doesn't tell it; set AWS_REGION");
    finish(identity);
}

/* Once there are credentials. */
static void find_region(struct identity *identity)
{
    const char *given = identity->settings->aws_region;

    identity->error[0] = '\0';
    if (identity->region[0] == '\0' && given != NULL && !set_region(identity, given, strlen(given)))
        complain(identity, "AWS_REGION: \"%.40s\" is no region: set it to one like eu-west-1", given);
    else if (identity->region[0] == '\0' && identity->metadata != NULL &&
             metadata_get(identity->metadata, REGION_PATH, on_region, identity) == 0)
        return;
    else if (identity->region[0] == '\0')
        complain(identity, "no region: set AWS_REGION");
    finish(identity);
}

/* the instance */

/* Why an endpoint gave no credentials. */
static void complain_of_answer(struct identity *identity, const char *where, const struct http_response *response,
                               const char *remedy)
{
    if (response->status == 0)
        complain(identity, "no credentials from %s: %.100s%s", where, response->failure, remedy);
    else if (response->status == 200)
        complain(identity, "no credentials from %s: its answer has none in it", where);
    else
        complain(identity, "no credentials from %s: it answers %d%s", where, response->status, remedy);
}

static void on_instance(void *arg, const struct http_response *response)
{
    struct identity *identity = arg;

    if (response->status == 200 &&
        credentials_parse(&identity->credentials, response->body, response->body_length) == 0) {
        identity->origin = "the instance's metadata service";
        identity->is_distrusted = false;
        find_region(identity);
        return;
    }
    complain_of_answer(identity, "the instance's metadata service", response, "");
    finish_without(identity);
}

static void on_role(void *arg, const struct http_response *response)
{
    struct identity *identity = arg;
    char path[sizeof(ROLE_PATH) + ROLE_MAX];
    const char *role = response->body;
    size_t length = 0;

    while (response->status == 200 && length < response->body_length && role[length] > ' ' && role[length] <= '~')
        length++;
    if (length > 0 && length < ROLE_MAX) {
        (void)snprintf(path, sizeof(path), ROLE_PATH "%.*s", (int)length, role);
        if (metadata_get(identity->metadata, path, on_instance, identity) == 0)
            return;
    }
    complain_of_answer(identity, "the instance's metadata service", response,
                       response->status == 404 ? ": attach a role to the instance"
                       : response->status == 0 ? "; in a container the instance's hop limit must be 2"
                                               : "");
    finish_without(identity);
}

static void ask_instance(struct identity *identity)
{
    if (metadata_get(identity->metadata, ROLE_PATH, on_role, identity) == 0)
        return;
    complain(identity, "no credentials: the instance's metadata service can't be asked");
    finish_without(identity);
}

/* the container */

static void on_container(void *arg, const struct http_response *response)
{
    struct identity *identity = arg;

    if (response->status == 200 &&
        credentials_parse(&identity->credentials, response->body, response->body_length) == 0) {
        identity->origin = "the container's endpoint";
        identity->is_distrusted = false;
        find_region(identity);
        return;
    }
    complain_of_answer(identity, "the container's endpoint", response,
                       "; see AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI");
    finish_without(identity);
}

static void ask_container(struct identity *identity)
{
    if (container_get(identity->container, identity->error, on_container, identity) < 0)
        finish_without(identity);
}

/* the environment and the files */

static int set_own(struct identity *identity, const char *origin, const char *access_key_id, const char *secret,
                   const char *token)
{
    int r = credentials_set(&identity->credentials, access_key_id, secret, token, 0);

    if (r == 0) {
        identity->origin = origin;
        identity->is_distrusted = false;
    } else if (r == -EINVAL) {
        complain(identity, "no credentials: %s is set without the secret key, or has a blank in it", origin);
    }
    return r;
}

static int take_environment(struct identity *identity)
{
    const struct settings *settings = identity->settings;

    if (settings->aws_access_key_id == NULL && settings->aws_secret_access_key == NULL)
        return -ENOENT;
    return set_own(identity, "AWS_ACCESS_KEY_ID", settings->aws_access_key_id, settings->aws_secret_access_key,
                   settings->aws_session_token);
}

static void complain_of_none(struct identity *identity)
{
    const struct settings *settings = identity->settings;
    bool wants_profile = strcmp(settings->aws_profile, "default") != 0;

    if (wants_profile)
        complain(identity, "no credentials: there is no profile %.60s with keys in ~/.aws/credentials: see AWS_PROFILE",
                 settings->aws_profile);
    else if (settings->aws_web_identity_token_file != NULL)
        complain(identity, "no credentials: AWS_WEB_IDENTITY_TOKEN_FILE is not supported: use EKS Pod Identity, "
                           "AWS_ACCESS_KEY_ID, or X-Ray's daemon");
    else
        complain(identity, "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, "
                           "or, on an EC2 instance, set SPANSHIM_AWS_METADATA=true");
}

/* -ENOENT: it has none that we can use. */
static int take_profile(struct identity *identity, const struct profile *profile)
{
    bool has_keys = profile->access_key_id != NULL;
    /* The others come before keys where AWS's SDKs have them. */
    bool keys_win = has_keys && profile->unsupported != NULL && strcmp(profile->unsupported, "credential_process") == 0;

    if (profile->unsupported != NULL && !keys_win)
        complain(identity,
                 "no credentials: profile %.40s gets them by %.40s, which is not supported: set AWS_ACCESS_KEY_ID and "
                 "AWS_SECRET_ACCESS_KEY, or use X-Ray's daemon",
                 identity->settings->aws_profile, profile->unsupported);
    else if (has_keys)
        return set_own(identity, "the profile's aws_access_key_id", profile->access_key_id, profile->secret,
                       profile->token);
    else
        complain_of_none(identity);
    return -ENOENT;
}

static int take_files(struct identity *identity, bool wants_keys)
{
    struct profile profile = {0};
    int error = profile_read(identity->settings, &profile);
    int r = -ENOENT;

    if (wants_keys && error < 0)
        complain(identity, "no credentials: ~/.aws can't be read: %s", strerror(-error));
    else if (wants_keys)
        r = take_profile(identity, &profile);
    if (identity->region[0] == '\0' && identity->settings->aws_region == NULL && profile.region != NULL)
        (void)set_region(identity, profile.region, strlen(profile.region));
    profile_deinit(&profile);
    return r;
}

/* The chain, from its start. What an endpoint says comes later. */
static void load(struct identity *identity)
{
    int r = take_environment(identity);
    int from_files = take_files(identity, r == -ENOENT);

    if (r == -ENOENT)
        r = from_files;
    if (r == 0)
        find_region(identity);
    else if (r == -ENOENT && identity->container != NULL)
        ask_container(identity);
    else if (r == -ENOENT && identity->metadata != NULL)
        ask_instance(identity);
    else
        finish_without(identity);
}

static bool is_fresh(const struct identity *identity, uint64_t now_s)
{
    const struct credentials *credentials = &identity->credentials;

    return credentials->access_key_id != NULL && identity->region[0] != '\0' && !identity->is_distrusted &&
           (credentials->expires_s == 0 || credentials->expires_s > now_s + IDENTITY_EARLY_S);
}

void identity_get(struct identity *identity, uint64_t now_s, identity_done *done, void *arg)
{
    identity->done = done;
    identity->arg = arg;
    identity->error[0] = '\0';
    if (is_fresh(identity, now_s))
        finish(identity);
    else
        load(identity);
}
