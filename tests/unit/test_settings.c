/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settings.h"

#include "exporters/agent/routes.h"
#include "exporters/encode/utf8.h"
#include "tests/support/read_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_pairs(const struct settings_pairs *pairs, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < pairs->count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s=%s", i > 0 ? "," : "", pairs->pairs[i].name,
                               pairs->pairs[i].value);
    if (pairs->count == 0)
        (void)snprintf(out, size, "-");
}

static const char *route_of_user(const struct routes *routes)
{
    const char *route = routes != NULL ? routes_find(routes, "/users/7", strlen("/users/7")) : NULL;

    return route != NULL ? route : "-";
}

/* A value as text, whatever its type. */
static void show(const struct settings *settings, const char *name, char *out, size_t size)
{
#define SHOW_BOOLEAN(field)      (void)snprintf(out, size, "%s", settings->field ? "true" : "false")
#define SHOW_INTEGER(field)      (void)snprintf(out, size, "%u", settings->field)
#define SHOW_LIMIT(field)        (void)snprintf(out, size, "%u", settings->field)
#define SHOW_DURATION(field)     (void)snprintf(out, size, "%u", settings->field)
#define SHOW_TIMEOUT(field)      (void)snprintf(out, size, "%u", settings->field)
#define SHOW_TEXT(field)         (void)snprintf(out, size, "%s", settings->field != NULL ? settings->field : "-")
#define SHOW_CHOICE(field)       SHOW_TEXT(field)
#define SHOW_LIST(field)         SHOW_TEXT(field)
#define SHOW_NAME(field)         SHOW_TEXT(field)
#define SHOW_PATH(field)         SHOW_TEXT(field)
#define SHOW_ENDPOINT(field)     SHOW_TEXT(field)
#define SHOW_URL(field)          SHOW_TEXT(field)
#define SHOW_SECRET(field)       SHOW_TEXT(field)
#define SHOW_PAIRS(field)        show_pairs(&settings->field, out, size)
#define SHOW_SECRET_PAIRS(field) show_pairs(&settings->field, out, size)
#define SHOW_ROUTES(field)       (void)snprintf(out, size, "%s", route_of_user(settings->field))
#define SETTING(NAME, field, TYPE, initial, range, help)                                                               \
    if (strcmp(name, #NAME) == 0)                                                                                      \
        SHOW_##TYPE(field);
#define SETTING_ALSO SETTING
#include "exporters/agent/config.def"
#undef SETTING
#undef SETTING_ALSO
}

/* Every row: a good value, a bad one (NULL: none is bad) and what is used for each. */
static const struct {
    const char *name, *good, *good_is, *bad, *bad_is, *unset_is;
} cases[] = {
    {"OTEL_SDK_DISABLED", " TRUE ", "true", "1", "false", "false"},
    {"OTEL_TRACES_EXPORTER", "Console, otlp", "console,otlp", "zipkin", "otlp", "otlp"},
    {"SPANSHIM_EXPORTERS", "console", "console", "file", "-", "-"},
    {"OTEL_LOGS_EXPORTER", "OTLP, otlp_file", "otlp,otlp_file", "zipkin", "-", "-"},
    {"SPANSHIM_OTLP_LOGS_FILE", "l.jsonl", "/srv/l.jsonl", NULL, NULL, "-"},
    {"OTEL_SERVICE_NAME", "shop", "shop", NULL, NULL, "-"},
    {"OTEL_RESOURCE_ATTRIBUTES", "a=1, b%2Cc = x%20y ", "a=1,b,c=x y", "a=1,b", "-", "-"},
    {"SPANSHIM_RESOURCE_DETECTORS", "host, OS", "host,os", "cloud", "all", "all"},
    {"SPANSHIM_COMMAND_ARGS", "True", "true", "yes", "false", "false"},
    {"HONEYCOMB_SERVICE_NAME", "shop", "shop", NULL, NULL, "-"},
    {"AWS_XRAY_TRACING_NAME", "shop", "shop", NULL, NULL, "-"},
    {"SPANSHIM_ROUTES", " /users , /users/{id}", "/users/{id}", "/users/{", "-", "-"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", "grpc", "http/xml", "http/protobuf", "http/protobuf"},
    {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/JSON", "http/json", "json", "-", "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc", "grpc", "udp", "-", "-"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1/x", "https://c:1/x", "c:4318", "http://localhost:4318",
     "http://localhost:4318"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x", "http://t/x", "ftp://t", "-", "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://l/x", "http://l/x", "l", "-", "-"},
    {"OTEL_EXPORTER_OTLP_INSECURE", "True", "true", "yes", "false", "false"},
    {"OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true", "true", "1", "false", "false"},
    {"OTEL_EXPORTER_OTLP_LOGS_INSECURE", "true", "true", "1", "false", "false"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=b%3D, C= d=e", "a=b=,C=d=e", "no pair", "-", "-"},
    {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b", "a=b", "a=%0d%0aX: y", "-", "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b", "a=b", "no pair", "-", "-"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP", "gzip", "zstd", "none", "none"},
    {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", "gzip", "br", "-", "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip", "gzip", "br", "-", "-"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "0", "0", "10s", "10000", "10000"},
    {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2147483647", "2147483647", "2147483648", "0", "0"},
    {"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "7", "7", "-1", "0", "0"},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem", "/srv/ca.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/ca.pem", "/ca.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/ca.pem", "/ca.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem", "/c.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/c.pem", "/c.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "/c.pem", "/c.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem", "/k.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/k.pem", "/k.pem", NULL, NULL, "-"},
    {"OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/k.pem", "/k.pem", NULL, NULL, "-"},
    {"HONEYCOMB_API_KEY", "key", "key", NULL, NULL, "-"},
    {"AWS_XRAY_DAEMON_ADDRESS", "xray:2000", "xray:2000", NULL, NULL, "-"},
    {"AWS_XRAY_URL", "*.example.com", "*.example.com", NULL, NULL, "-"},
    {"SPANSHIM_XRAY_VIA", "API", "api", "udp", "daemon", "daemon"},
    {"SPANSHIM_XRAY_SAMPLING_RULES", "rules.json", "/srv/rules.json", NULL, NULL, "-"},
    {"SPANSHIM_XRAY_PLUGINS", "EC2, ecs", "ec2,ecs", "lambda", "-", "-"},
    {"SPANSHIM_XRAY_IN_PROGRESS", "30000", "30000", "30s", "0", "0"},
    {"SPANSHIM_XRAY_ANNOTATIONS", "http.route", "http.route", NULL, NULL, "-"},
    {"SPANSHIM_XRAY_METADATA", "false", "false", "no", "false", "true"},
    {"AWS_DEFAULT_REGION", "eu-west-1", "eu-west-1", NULL, NULL, "-"},
    {"AWS_REGION", "eu-west-1", "eu-west-1", NULL, NULL, "-"},
    {"AWS_ACCESS_KEY_ID", "AKID", "AKID", NULL, NULL, "-"},
    {"AWS_SECRET_ACCESS_KEY", "secret", "secret", NULL, NULL, "-"},
    {"AWS_SESSION_TOKEN", "token", "token", NULL, NULL, "-"},
    {"AWS_PROFILE", "shop", "shop", NULL, NULL, "default"},
    {"AWS_SHARED_CREDENTIALS_FILE", "c", "/srv/c", NULL, NULL, "-"},
    {"AWS_CONFIG_FILE", "/c", "/c", NULL, NULL, "-"},
    {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x", "/v2/x", NULL, NULL, "-"},
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/x", "http://127.0.0.1/x", "ftp://x", "-", "-"},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "token", "token", NULL, NULL, "-"},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t", "/t", NULL, NULL, "-"},
    {"AWS_WEB_IDENTITY_TOKEN_FILE", "/t", "/t", NULL, NULL, "-"},
    {"SPANSHIM_AWS_METADATA", "true", "true", "1", "false", "false"},
    {"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1", "-", "-"},
    {"AWS_EC2_METADATA_DISABLED", "True", "true", "1", "false", "false"},
    {"AWS_ENDPOINT_URL", "http://127.0.0.1:1", "http://127.0.0.1:1", "localhost", "-", "-"},
    {"AWS_ENDPOINT_URL_XRAY", "https://x:1", "https://x:1", "x:1", "-", "-"},
    {"AWS_ENDPOINT_URL_LOGS", "https://x:1", "https://x:1", "x:1", "-", "-"},
    {"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "https://x:1", "https://x:1", "x:1", "-", "-"},
    {"AWS_CA_BUNDLE", "/ca.pem", "/ca.pem", NULL, NULL, "-"},
    {"SPANSHIM_OTLP_SIGV4", "On", "on", "true", "auto", "auto"},
    {"SPANSHIM_CLOUDWATCH_LOG_GROUP", "/shop", "/shop", NULL, NULL, "-"},
    {"SPANSHIM_CLOUDWATCH_LOG_STREAM", "{service}", "{service}", NULL, NULL, "{machine}/{program}/{pid}"},
    {"SPANSHIM_CLOUDWATCH_RETENTION_DAYS", "7", "7", "0", "0", "0"},
    {"SPANSHIM_CLOUDWATCH_FORMAT", "Plain", "plain", "text", "json", "json"},
    {"SPANSHIM_CLOUDWATCH_EVENT_BYTES", "1048576", "1048576", "1048577", "262144", "262144"},
    {"SPANSHIM_CLOUDWATCH_LONG_EVENTS", "cut", "cut", "drop", "split", "split"},
    {"SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE", "1000", "1000", "-1", "0", "0"},
    {"SPANSHIM_REQUEST_LOG", "requests.log", "/srv/requests.log", NULL, NULL, "-"},
    {"SPANSHIM_REQUEST_LOG_FORMAT", "JSON", "json", "clf", "line", "line"},
    {"SPANSHIM_DEBUGINFOD", "true", "true", "yes", "false", "false"},
    {"ROLLBAR_ACCESS_TOKEN", "0123", "0123", NULL, NULL, "-"},
    {"ROLLBAR_ENDPOINT", "http://r:1/x", "http://r:1/x", "r:1", "-", "-"},
    {"ROLLBAR_ENVIRONMENT", "staging", "staging", NULL, NULL, "-"},
    {"ROLLBAR_CODE_VERSION", "1.2", "1.2", NULL, NULL, "-"},
    {"ROLLBAR_ROOT", "src", "src", NULL, NULL, "-"},
    {"SPANSHIM_ROLLBAR_FINGERPRINT", "false", "false", "no", "false", "true"},
    {"SPANSHIM_TRACEBACKS", "False", "false", "no", "false", "true"},
    {"SPANSHIM_ROLLBAR_LIMIT", "0", "0", "1001", "60", "60"},
    {"SPANSHIM_ROLLBAR_REPEATS", "1000", "1000", "-1", "5", "5"},
    {"HTTP_PROXY", "http://p:1", "http://p:1", NULL, NULL, "-"},
    {"http_proxy", "http://p:1", "http://p:1", NULL, NULL, "-"},
    {"HTTPS_PROXY", "p:1", "p:1", NULL, NULL, "-"},
    {"https_proxy", "p:1", "p:1", NULL, NULL, "-"},
    {"NO_PROXY", "a,b", "a,b", NULL, NULL, "-"},
    {"no_proxy", "a,b", "a,b", NULL, NULL, "-"},
    {"OTEL_BSP_SCHEDULE_DELAY", "0", "0", "-1", "5000", "5000"},
    {"OTEL_BSP_EXPORT_TIMEOUT", "1", "1", "+1", "30000", "30000"},
    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1", "1", "0", "512", "512"},
    {"OTEL_BSP_MAX_QUEUE_SIZE", "4096", "4096", "many", "0", "0"},
    {"OTEL_BLRP_SCHEDULE_DELAY", "0", "0", "-1", "1000", "1000"},
    {"OTEL_BLRP_EXPORT_TIMEOUT", "1", "1", "+1", "30000", "30000"},
    {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1", "1", "0", "512", "512"},
    {"OTEL_BLRP_MAX_QUEUE_SIZE", "4096", "4096", "many", "0", "0"},
    {"SPANSHIM_QUEUE_BYTES", "65536", "65536", "65535", "16777216", "16777216"},
    {"SPANSHIM_QUEUE_AGE", "1000", "1000", "999", "86400000", "86400000"},
    {"SPANSHIM_SPOOL_DIR", "/x", "/x", NULL, NULL, "-"},
    {"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, brew", "GET, brew", NULL, NULL, "-"},
    {"OTEL_ATTRIBUTE_COUNT_LIMIT", "0", "0", "0x10", "128", "128"},
    {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7", "7", "", "4294967295", "4294967295"},
    {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "0", "0", "x", "4294967295", "4294967295"},
    {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0", "0", "no", "4294967295", "4294967295"},
    {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "64", "64", "1e3", "4294967295", "4294967295"},
    {"OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8", "8", "-8", "4294967295", "4294967295"},
    {"OTEL_SPAN_EVENT_COUNT_LIMIT", "1", "1", "-1", "128", "128"},
    {"OTEL_SPAN_LINK_COUNT_LIMIT", "2147483647", "2147483647", "4294967296", "128", "128"},
    {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "0", "0", "1.5", "128", "128"},
    {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "007", "7", "7 8", "128", "128"},
    {"OTEL_LOG_LEVEL", "DEBUG", "debug", "trace", "info", "info"},
    {"SPANSHIM_LOG_LEVEL", "none", "none", "3", "info", "info"},
    {"SPANSHIM_OTLP_FILE", "t.jsonl", "/srv/t.jsonl", NULL, NULL, "-"},
    {"SPANSHIM_CONSOLE", "out.txt", "/srv/out.txt", NULL, NULL, "-"},
    {"SPANSHIM_SESSION", "00ff", "00ff", NULL, NULL, "-"},
    {"NO_COLOR", "1", "1", NULL, NULL, "-"},
    {"SPANSHIM_INIT_TIMEOUT", "0", "0", "600001", "5000", "5000"},
    {"OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup", "http/dup", NULL, NULL, "-"},
    {"OTEL_EXPERIMENTAL_CONFIG_FILE", "/x.yaml", "/x.yaml", NULL, NULL, "-"},
    {"OTEL_CONFIG_FILE", "/x.yaml", "/x.yaml", NULL, NULL, "-"},
};
enum { CASE_COUNT = sizeof(cases) / sizeof(cases[0]) };

static void check(const char *name, const char *value, const char *expected)
{
    char *entry;
    char shown[256];

    assert_true(asprintf(&entry, "%s=%s", name, value) > 0);
    struct settings *settings = read_settings(ENTRIES("OTHER=1", entry));
    show(settings, name, shown, sizeof(shown));
    if (strcmp(shown, expected) != 0)
        fail_msg("%s=%s is read as \"%s\", not \"%s\"", name, value, shown, expected);
    settings_unref(settings);
    free(entry);
}

static void test_settings_reads_each_row(void **state)
{
    (void)state;
    assert_int_equal(settings_row_of_shim(), CASE_COUNT); /* the shim's are test_config.c's */
    for (size_t i = 0; i < CASE_COUNT; i++) {
        assert_string_equal(settings_row(i)->name, cases[i].name);
        check(cases[i].name, cases[i].good, cases[i].good_is);
        check(cases[i].name, "", cases[i].unset_is);
        check(cases[i].name, "  ", cases[i].unset_is);
        if (cases[i].bad != NULL)
            check(cases[i].name, cases[i].bad, cases[i].bad_is);
    }
}

static void test_settings_complains_once_by_name_with_value_and_what_is_used(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        char *entry;

        if (cases[i].bad == NULL || cases[i].bad[0] == '\0')
            continue;
        assert_true(asprintf(&entry, "%s=%s", cases[i].name, cases[i].bad) > 0);
        struct settings *settings = read_settings(ENTRIES(entry));
        bool is_secret = strstr(settings_row(i)->type, "SECRET") != NULL;

        assert_int_equal(settings_complaint_count(settings), 1);
        const char *line = settings_complaint(settings, 0);
        assert_memory_equal(line, cases[i].name, strlen(cases[i].name));
        assert_null(strchr(line, '\n'));
        if (is_secret || strcmp(settings_row(i)->type, "PAIRS") == 0)
            assert_null(strstr(line, cases[i].bad));
        else
            assert_non_null(strstr(line, cases[i].bad));
        assert_true(strstr(line, "used") || strstr(line, "ignored") || strstr(line, "passed over") ||
                    strstr(line, "counts as"));
        settings_unref(settings);
        free(entry);
    }
}

static void test_settings_says_what_the_shim_cannot_say(void **state)
{
    (void)state;
    assert_complaint(ENTRIES("SPANSHIM_DISABLED=maybe"),
                     "SPANSHIM_DISABLED: \"maybe\" is not one of true|false|1|0; false is used");
    assert_complaint(ENTRIES("OTEL_SDK_DISABLED=1"),
                     "OTEL_SDK_DISABLED: \"1\" is not one of true|false; false is used");
    assert_complaint(ENTRIES("SPANSHIM_QUERY=hide"),
                     "SPANSHIM_QUERY: \"hide\" is not one of redact|drop|keep; redact is used");
    assert_complaint(ENTRIES("OTEL_PROPAGATORS=tracecontext,jaeger"),
                     "OTEL_PROPAGATORS: \"tracecontext,jaeger\" has a word that is not one of "
                     "tracecontext|baggage|b3|b3multi|xray|none; it is passed over");
    assert_complaint(ENTRIES("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=many"),
                     "OTEL_TRACES_SAMPLER_ARG: \"many\" is no number in 0..1; 1.0 is used");
}

static void test_settings_names_what_was_meant(void **state)
{
    (void)state;
    assert_complaint(ENTRIES("SPANSHIM_QEURY=drop"),
                     "SPANSHIM_QEURY is no setting and ignored; did you mean SPANSHIM_QUERY?");
    assert_complaint(ENTRIES("SPANSHIM_QUEUE_BYTE=65536"),
                     "SPANSHIM_QUEUE_BYTE is no setting and ignored; did you mean SPANSHIM_QUEUE_BYTES?");
    assert_complaint(ENTRIES("SPANSHIM_MARVELLOUS=1"), "SPANSHIM_MARVELLOUS is no setting and ignored");
    assert_complaint(ENTRIES("OTEL_METRIC_EXPORT_INTERVAL=x", "OTEL_METRICS_EXPORTER=x", "OTEL_WHATEVER=1",
                             "SPANSHIMX=1", "OTEL_SEMCONV_STABILITY_OPT_IN=http"),
                     NULL); /* somebody else's */
}

static void test_settings_has_no_configuration_files(void **state)
{
    (void)state;
    assert_complaint(ENTRIES("OTEL_CONFIG_FILE=/x"), "OTEL_CONFIG_FILE: not supported; the environment is used");
    assert_complaint(ENTRIES("OTEL_EXPERIMENTAL_CONFIG_FILE=/x"),
                     "OTEL_EXPERIMENTAL_CONFIG_FILE: not supported; the environment is used");
    assert_complaint(ENTRIES("OTEL_EXPERIMENTAL_CONFIG_FILE=/x", "OTEL_CONFIG_FILE=/x"),
                     "OTEL_CONFIG_FILE: not supported; the environment is used");
}

static void test_settings_never_shows_secrets(void **state)
{
    (void)state;
    struct settings *settings =
        read_settings(ENTRIES("OTEL_EXPORTER_OTLP_HEADERS=geheim", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=a b=geheim",
                              "OTEL_EXPORTER_OTLP_ENDPOINT=u:geheim@host", "HONEYCOMB_API_KEY=geheim\n1",
                              "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://geheim:geheim@h/x?geheim"));

    assert_int_equal(settings_complaint_count(settings), 5);
    for (size_t i = 0; i < settings_complaint_count(settings); i++)
        assert_null(strstr(settings_complaint(settings, i), "geheim"));
    settings_unref(settings);

    /* No URLs, for the password isn't percent-encoded. */
    static const char *const urls[] = {"http://u:geheim/geheim@h", "http://u:geheim@geheim@h", "http://u:geheim?@h/@x"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char *entry;

        assert_true(asprintf(&entry, "OTEL_EXPORTER_OTLP_ENDPOINT=%s", urls[i]) > 0);
        settings = read_settings(ENTRIES(entry));
        assert_int_equal(settings_complaint_count(settings), 1);
        assert_null(strstr(settings_complaint(settings, 0), "geheim"));
        settings_unref(settings);
        free(entry);
    }
}

static void test_settings_complaints_are_text(void **state)
{
    (void)state;
    /* The value is cut after 80 bytes: within a character. */
    struct settings *settings = read_settings(ENTRIES(
        "OTEL_BSP_SCHEDULE_DELAY=\x1b[1m\xff\n1", "OTEL_EXPORTER_OTLP_PROTOCOL=123456789_123456789_123456789_123456789_"
                                                  "123456789_123456789_123456789_123456789\xc3\xa4"));
    uint32_t character;

    assert_int_equal(settings_complaint_count(settings), 2);
    for (size_t i = 0; i < 2; i++)
        for (const char *p = settings_complaint(settings, i); *p != '\0';) {
            size_t length = utf8_decode(p, strlen(p), &character);
            assert_in_range(length, 1, 4);
            assert_true(character >= ' ' && character != 0x7f);
            p += length;
        }
    settings_unref(settings);
}

static bool same_digest(const char *const *a, const char *const *b)
{
    struct settings *one = read_settings(a);
    struct settings *other = read_settings(b);
    bool same = memcmp(one->digest, other->digest, SETTINGS_DIGEST_SIZE) == 0;

    settings_unref(one);
    settings_unref(other);
    return same;
}

static void test_settings_digest_tells_ways_to_export_apart(void **state)
{
    (void)state;
    const char *const *plain = ENTRIES("OTEL_SERVICE_NAME=a");
    assert_true(same_digest(plain, ENTRIES("OTEL_SERVICE_NAME=b", "OTEL_RESOURCE_ATTRIBUTES=x=y")));
    assert_true(same_digest(plain, ENTRIES("OTEL_EXPORTER_OTLP_TIMEOUT=10000")));
    assert_false(same_digest(plain, ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=http://c")));
    assert_false(same_digest(plain, ENTRIES("OTEL_EXPORTER_OTLP_HEADERS=a=1")));
    assert_false(
        same_digest(ENTRIES("OTEL_EXPORTER_OTLP_HEADERS=a=1,b=2"), ENTRIES("OTEL_EXPORTER_OTLP_HEADERS=a=1b,=2")));
    assert_false(same_digest(ENTRIES("HONEYCOMB_API_KEY=k1"), ENTRIES("HONEYCOMB_API_KEY=k2")));
    assert_false(same_digest(ENTRIES("SPANSHIM_EXPORTERS=console", "SPANSHIM_SESSION=1"),
                             ENTRIES("SPANSHIM_EXPORTERS=console", "SPANSHIM_SESSION=2")));
}

/* Whatever one chooses as his settings, it is not another's. */
static void test_settings_digest_holds_the_user(void **state)
{
    uid_t anne = 61001;
    struct settings *settings = read_settings(ENTRIES("OTEL_SERVICE_NAME=a"));

    (void)state;
    settings_give_to(settings, anne, false, 1 << 20);
    assert_memory_equal(settings->digest + SETTINGS_DIGEST_SIZE - sizeof(anne), &anne, sizeof(anne));
    settings_unref(settings);
}

static void test_settings_asks_no_metadata_for_others(void **state)
{
    static const char *const entries[] = {
        "SPANSHIM_AWS_METADATA=true", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/x", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        struct settings *settings = read_settings(ENTRIES(entries[i]));

        settings_give_to(settings, 61001, false, 1 << 20);
        assert_false(settings->aws_metadata);
        assert_null(settings->aws_metadata_endpoint);
        assert_null(settings->aws_container_relative_uri);
        assert_null(settings->aws_container_full_uri);
        assert_int_equal(settings_complaint_count(settings), 1);
        settings_unref(settings);
    }
}

static void test_settings_first_of_repeated_names_counts(void **state)
{
    (void)state;
    struct settings *settings =
        read_settings(ENTRIES("OTEL_SERVICE_NAME=a", "OTEL_SERVICE_NAME=b", "OTEL_SERVICE_NAME_X=c"));
    assert_string_equal(settings->service_name, "a");
    settings_unref(settings);
}

static void test_settings_bounds_pairs_and_complaints(void **state)
{
    char headers[4096] = "OTEL_EXPORTER_OTLP_HEADERS=";

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        (void)snprintf(headers + strlen(headers), 16, "h%u=1,", i);
    struct settings *settings = read_settings(ENTRIES(headers));
    assert_int_equal(settings->otlp[SIGNAL_TRACES].headers.count, SETTINGS_PAIRS_MAX);
    assert_int_equal(settings_complaint_count(settings), 1);
    settings_unref(settings);
}

static void test_settings_says_that_more_is_wrong(void **state)
{
    char routes[512] = "SPANSHIM_ROUTES=";

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        (void)snprintf(routes + strlen(routes), 8, "bad%u,", i);
    struct settings *settings = read_settings(ENTRIES(routes, "SPANSHIM_QUERY=hide"));
    assert_int_equal(settings_complaint_count(settings), SETTINGS_COMPLAINTS_MAX);
    assert_non_null(strstr(settings_complaint(settings, SETTINGS_COMPLAINTS_MAX - 2), "SPANSHIM_ROUTES"));
    assert_string_equal(settings_complaint(settings, SETTINGS_COMPLAINTS_MAX - 1),
                        "more is wrong with the settings than is said here");
    settings_unref(settings);
}

static void test_settings_keeps_the_good_routes(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES("SPANSHIM_ROUTES=users/{id},/users/{id},,/x/{y"));
    assert_string_equal(route_of_user(settings->routes), "/users/{id}");
    assert_int_equal(settings_complaint_count(settings), 2);
    assert_string_equal(
        settings_complaint(settings, 0),
        "SPANSHIM_ROUTES: \"users/{id}\" should be patterns like /users/{id}, /files/{path...} or /static/*, "
        "at most 256; what is not is passed over");
    settings_unref(settings);
}

static void test_settings_batch_is_no_larger_than_queue(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES("OTEL_BSP_MAX_QUEUE_SIZE=100"));
    assert_int_equal(settings->batches[SIGNAL_TRACES].size, 100);
    assert_int_equal(settings_complaint_count(settings), 1);
    settings_unref(settings);
}

static void test_settings_relative_path_without_folder_stays(void **state)
{
    (void)state;
    struct settings *settings = read_settings_in(NULL, ENTRIES("SPANSHIM_CONSOLE=x"));
    assert_string_equal(settings->console_path, "x");
    settings_unref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_reads_each_row),
        cmocka_unit_test(test_settings_complains_once_by_name_with_value_and_what_is_used),
        cmocka_unit_test(test_settings_says_what_the_shim_cannot_say),
        cmocka_unit_test(test_settings_names_what_was_meant),
        cmocka_unit_test(test_settings_has_no_configuration_files),
        cmocka_unit_test(test_settings_never_shows_secrets),
        cmocka_unit_test(test_settings_complaints_are_text),
        cmocka_unit_test(test_settings_digest_tells_ways_to_export_apart),
        cmocka_unit_test(test_settings_digest_holds_the_user),
        cmocka_unit_test(test_settings_asks_no_metadata_for_others),
        cmocka_unit_test(test_settings_first_of_repeated_names_counts),
        cmocka_unit_test(test_settings_bounds_pairs_and_complaints),
        cmocka_unit_test(test_settings_says_that_more_is_wrong),
        cmocka_unit_test(test_settings_keeps_the_good_routes),
        cmocka_unit_test(test_settings_batch_is_no_larger_than_queue),
        cmocka_unit_test(test_settings_relative_path_without_folder_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
