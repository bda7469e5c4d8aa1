/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials are found, and what is made of what is found; their way over the network is
 * integration.xray_api's. */
#include "exporters/aws/credentials.h"

#include "exporters/agent/http_client.h"
#include "exporters/agent/loop.h"
#include "exporters/aws/container.h"
#include "exporters/aws/identity.h"
#include "exporters/aws/metadata.h"
#include "exporters/aws/profile.h"
#include "exporters/aws/small_file.h"
#include "exporters/exporter.h"
#include "tests/support/read_settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW_S UINT64_C(1700000000)

/* profiles */

static void show(const struct profile *profile, char *out, size_t size)
{
    const char *const texts[] = {profile->access_key_id, profile->secret, profile->token, profile->region,
                                 profile->unsupported};
    size_t length = 0;

    for (size_t i = 0; i < 5; i++)
        length +=
            (size_t)snprintf(out + length, size - length, "%s%s", i > 0 ? "|" : "", texts[i] != NULL ? texts[i] : "-");
}

static void test_profile_reads_both_files(void **state)
{
    static const struct {
        const char *name, *credentials, *config, *expected;
    } cases[] = {
        {"default", "[default]\naws_access_key_id=A\naws_secret_access_key=S\n", "", "A|S|-|-|-"},
        {"default", "[default]\r\naws_access_key_id = A\r\naws_secret_access_key = S\r\n", "", "A|S|-|-|-"},
        {"default", "[other]\naws_access_key_id=A\n[default]\nAWS_Access_Key_Id=B\naws_secret_access_key=T",
         "[default]\nregion=r", "B|T|-|r|-"},
        {"shop", "[shop]\naws_access_key_id=A\naws_secret_access_key=S\naws_session_token=T\n",
         "[profile shop]\nregion = r # where\n", "A|S|T|r|-"},
        {"shop", "", "[profile  shop]\naws_access_key_id=A\naws_secret_access_key=S\n", "A|S|-|-|-"},
        /* The section of the configuration needs its word, that of the credentials none. */
        {"shop", "[profile shop]\naws_access_key_id=A\n", "[shop]\naws_access_key_id=B\n", "-|-|-|-|-"},
        {"default", "", "[profile default]\nregion=r\n", "-|-|-|r|-"},
        /* A key, its secret and its token are of one file. */
        {"default", "[default]\naws_access_key_id=A\naws_secret_access_key=S\n",
         "[default]\naws_access_key_id=B\naws_session_token=T\n", "A|S|-|-|-"},
        /* Comments, nested settings, what is no assignment, empty values. */
        {"default", "# [default]\n;x\n[default]\naws_access_key_id=A#B\naws_secret_access_key=S ;c\n", "",
         "A#B|S|-|-|-"},
        {"default", "", "[default]\ns3 =\n  region = nested\nregion\nregion=\n", "-|-|-|-|-"},
        {"default", "[default\naws_access_key_id=A\n", "[]\n=\n", "-|-|-|-|-"},
        /* The last of several counts. */
        {"default", "[default]\naws_access_key_id=A\n[x]\n[default]\naws_access_key_id=B\n", "", "B|-|-|-|-"},
        {"sso", "", "[profile sso]\nsso_session = x\nregion = r\n", "-|-|-|r|sso_session"},
    };
    char shown[128], credentials[256], config[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct profile profile = {0};

        (void)snprintf(credentials, sizeof(credentials), "%s", cases[i].credentials);
        (void)snprintf(config, sizeof(config), "%s", cases[i].config);
        assert_int_equal(profile_add(&profile, PROFILE_OF_CREDENTIALS, cases[i].name, credentials), 0);
        assert_int_equal(profile_add(&profile, PROFILE_OF_CONFIG, cases[i].name, config), 0);
        show(&profile, shown, sizeof(shown));
        if (strcmp(shown, cases[i].expected) != 0)
            fail_msg("case %zu: %s, not %s", i, shown, cases[i].expected);
        profile_deinit(&profile);
    }
}

static void test_small_file_is_a_plain_one(void **state)
{
    char folder[] = "/tmp/test_aws_credentials.XXXXXX", path[64];
    char *text = NULL;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(small_file_read(folder, &text), -EINVAL);
    (void)snprintf(path, sizeof(path), "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(small_file_read(path, &text), -EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(small_file_read(path, &text), -ENOENT);

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("token\n", file);
    (void)fclose(file);
    assert_int_equal(small_file_read(path, &text), 0);
    assert_string_equal(text, "token\n");
    small_file_free(text);
    assert_int_equal(truncate(path, SMALL_FILE_MAX + 1), 0);
    assert_int_equal(small_file_read(path, &text), -EFBIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* answers */

static void test_credentials_are_parsed(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t expires_s;
    } cases[] = {
        {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\",\"Expiration\":\"2023-11-14T22:13:20Z\"}", 0,
         NOW_S},
        {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":\"2023-11-14T22:13:20.123Z\"}", 0, NOW_S},
        {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}", 0, 0},
        {"{\"AccessKeyId\":\"A\"}", -EBADMSG, 0},
        {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":7}", -EBADMSG, 0},
        {"{\"AccessKeyId\":\"A\\r\\nX: y\",\"SecretAccessKey\":\"S\"}", -EBADMSG, 0},
        {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"a b\"}", -EBADMSG, 0},
        {"{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", -EBADMSG, 0},
        {"<html>", -EBADMSG, 0},
        {"", -EBADMSG, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct credentials credentials = {0};

        assert_int_equal(credentials_parse(&credentials, cases[i].text, strlen(cases[i].text)), cases[i].result);
        assert_int_equal(credentials.expires_s, cases[i].expires_s);
        assert_int_equal(credentials.access_key_id != NULL, cases[i].result == 0);
        credentials_deinit(&credentials);
    }
}

/* A token must not go to anybody else. */
static void test_container_asks_only_its_own(void **state)
{
    static const char *const may[] = {
        "https://credentials.example/x", "http://127.0.0.1:80/x",   "http://127.8.8.8/",
        "http://localhost:1/",           "http://[::1]:1/x",        "http://169.254.170.2/v2",
        "http://169.254.170.23/v1",      "http://[fd00:ec2::23]/v1"};
    static const char *const may_not[] = {"http://credentials.example/",
                                          "http://169.254.169.254/",
                                          "http://127.0.0.1.x/",
                                          "http://127.0.0.1@example/",
                                          "ftp://127.0.0.1/",
                                          "127.0.0.1",
                                          ""};

    (void)state;
    for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++)
        if (!container_may_ask(may[i]))
            fail_msg("%s", may[i]);
    for (size_t i = 0; i < sizeof(may_not) / sizeof(may_not[0]); i++)
        if (container_may_ask(may_not[i]))
            fail_msg("%s", may_not[i]);
}

static bool is_allowed(const char *const *entries)
{
    struct settings *settings = read_settings(entries);
    bool is = metadata_is_allowed(settings);

    settings_unref(settings);
    return is;
}

static void test_metadata_is_asked_only_where_that_is_said(void **state)
{
    (void)state;
    assert_false(is_allowed(ENTRIES("AWS_REGION=r")));
    assert_true(is_allowed(ENTRIES("SPANSHIM_AWS_METADATA=true")));
    assert_true(is_allowed(ENTRIES("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1")));
    assert_false(is_allowed(ENTRIES("SPANSHIM_AWS_METADATA=true", "AWS_EC2_METADATA_DISABLED=true")));
}

/* the chain, as far as it needs no network */

struct seen {
    char text[IDENTITY_ERROR_MAX];
    unsigned count;
};

static void note(void *arg, const struct identity_answer *answer)
{
    struct seen *seen = arg;

    seen->count++;
    if (answer->error != NULL)
        (void)snprintf(seen->text, sizeof(seen->text), "%s", answer->error);
    else
        (void)snprintf(seen->text, sizeof(seen->text), "%s %s %s", answer->credentials->access_key_id,
                       answer->credentials->token != NULL ? answer->credentials->token : "-", answer->region);
}

static void assert_found(const char *const *entries, const char *region, const char *expected)
{
    struct settings *settings = read_settings(entries);
    struct exporter_host host = {0};
    struct identity *identity = NULL;
    struct seen seen = {0};

    assert_int_equal(loop_new(&host.loop), 0);
    host.http = http_client_new(host.loop);
    assert_int_equal(identity_new(&host, settings, region, &identity), 0);
    identity_get(identity, NOW_S, note, &seen);
    assert_int_equal(seen.count, 1);
    if (strncmp(seen.text, expected, strlen(expected)) != 0)
        fail_msg("%s, not %s", seen.text, expected);
    identity_free(identity);
    http_client_free(host.http);
    loop_free(host.loop);
    settings_unref(settings);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_identity_goes_down_the_chain(void **state)
{
    char folder[] = "/tmp/test_aws_credentials.XXXXXX";
    char credentials[64], config[64], credentials_entry[128], config_entry[128];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(credentials, sizeof(credentials), "%s/credentials", folder);
    (void)snprintf(config, sizeof(config), "%s/config", folder);
    (void)snprintf(credentials_entry, sizeof(credentials_entry), "AWS_SHARED_CREDENTIALS_FILE=%s", credentials);
    (void)snprintf(config_entry, sizeof(config_entry), "AWS_CONFIG_FILE=%s", config);
    write_file(credentials, "[default]\naws_access_key_id=file\naws_secret_access_key=s\n");
    write_file(config,
               "[default]\nregion=of-file\n[profile role]\nrole_arn=x\n[profile process]\ncredential_process=x\n");
#define FILES credentials_entry, config_entry
#define KEYS  "AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=s"
    assert_found(ENTRIES(FILES, KEYS, "AWS_SESSION_TOKEN=t", "AWS_REGION=r"), NULL, "env t r");
    assert_found(ENTRIES(FILES, KEYS), NULL, "env - of-file");
    assert_found(ENTRIES(FILES), NULL, "file - of-file");
    assert_found(ENTRIES(FILES, "AWS_DEFAULT_REGION=d"), NULL, "file - d");
    assert_found(ENTRIES(FILES, "AWS_DEFAULT_REGION=d", "AWS_REGION=r"), NULL, "file - r");
    assert_found(ENTRIES(FILES, "AWS_REGION=r"), "of-url", "file - of-url");
    assert_found(ENTRIES(KEYS), NULL, "no region: set AWS_REGION");
    assert_found(ENTRIES(KEYS, "AWS_REGION=a.example/"), NULL, "AWS_REGION: \"a.example/\" is no region");
    assert_found(ENTRIES("AWS_REGION=r"), NULL, "no credentials: set AWS_ACCESS_KEY_ID");
    assert_found(ENTRIES(FILES, "AWS_PROFILE=none"), NULL, "no credentials: there is no profile none");
    assert_found(ENTRIES(FILES, "AWS_PROFILE=role"), NULL, "no credentials: profile role gets them by role_arn");
    assert_found(ENTRIES(FILES, "AWS_PROFILE=process"), NULL,
                 "no credentials: profile process gets them by credential_process");
    assert_found(ENTRIES("AWS_REGION=r", "AWS_SECRET_ACCESS_KEY=s"), NULL, "no credentials: AWS_ACCESS_KEY_ID is set");
    assert_found(ENTRIES("AWS_REGION=r", "AWS_WEB_IDENTITY_TOKEN_FILE=/t"), NULL,
                 "no credentials: AWS_WEB_IDENTITY_TOKEN_FILE is not supported");
    assert_int_equal(unlink(credentials), 0);
    assert_int_equal(unlink(config), 0);
    assert_int_equal(mkdir(config, 0700), 0);
    assert_found(ENTRIES(FILES, "AWS_REGION=r"), NULL, "no credentials: ~/.aws can't be read: Invalid argument");
    assert_int_equal(rmdir(config), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_reads_both_files),
        cmocka_unit_test(test_small_file_is_a_plain_one),
        cmocka_unit_test(test_credentials_are_parsed),
        cmocka_unit_test(test_container_asks_only_its_own),
        cmocka_unit_test(test_metadata_is_asked_only_where_that_is_said),
        cmocka_unit_test(test_identity_goes_down_the_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
