/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/sigv4.h"

#include "exporters/agent/http_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME       "20150830T123600Z"
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define TOKEN                                                                                                          \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuw"  \
    "thAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNV" \
    "XAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/"       \
    "oLxBA=="

static const struct sigv4_key key = {
    .access_key_id = "AKIDEXAMPLE",
    .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "service",
    .time = TIME,
};

/* AWS's published test suite (aws4_request). Host and X-Amz-Date are added to each. */
static const struct {
    const char *name, *method, *path, *query;
    struct http_header more[4];
    const char *body, *names, *signature;
} cases[] = {
    {"get-vanilla",
     "GET",
     "/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query",
     "GET",
     "/",
     "",
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     "Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-key",
     "GET",
     "/",
     "Param1=value2&Param1=Value1",
     {{0}},
     "",
     "host;x-amz-date",
     "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
    {"get-vanilla-query-order-value",
     "GET",
     "/",
     "Param1=value2&Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     UNRESERVED "=" UNRESERVED,
     {{0}},
     "",
     "host;x-amz-date",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     "\xe1\x88\xb4=bar",
     {{0}},
     "",
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"the same, as it is sent",
     "GET",
     "/",
     "%e1%88%b4=bar",
     {{0}},
     "",
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}},
     "",
     "host;my-header1;x-amz-date",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim",
     "GET",
     "/",
     NULL,
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-unreserved",
     "GET",
     "/" UNRESERVED,
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space",
     "GET",
     "/example space/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-relative",
     "GET",
     "/example/..",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative",
     "GET",
     "/example1/example2/../..",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash",
     "GET",
     "//",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash",
     "GET",
     "/./",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slashes",
     "GET",
     "//example//",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-slash-pointless-dot",
     "GET",
     "/./example",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"an empty path",
     "GET",
     "",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla",
     "POST",
     "/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-vanilla-query",
     "POST",
     "/",
     "Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-header-key-sort",
     "POST",
     "/",
     NULL,
     {{"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case",
     "POST",
     "/",
     NULL,
     {{"My-Header1", "VALUE1"}},
     "",
     "host;my-header1;x-amz-date",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before",
     "POST",
     "/",
     NULL,
     {{"X-Amz-Security-Token", TOKEN}},
     "",
     "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     "Param1=value1",
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-x-www-form-urlencoded-parameters",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf8"}},
     "Param1=value1",
     "content-type;host;x-amz-date",
     "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"},
};

static char *authorize(const struct sigv4_request *request, const struct sigv4_key *with)
{
    char *authorization = NULL;

    assert_int_equal(sigv4_authorize(request, with, &authorization), 0);
    return authorization;
}

static void test_sigv4_makes_the_published_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_header headers[6] = {{"X-Amz-Date", TIME}, {"Host", "example.amazonaws.com"}};
        struct sigv4_request request = {cases[i].method, cases[i].path,        cases[i].query, headers, 2,
                                        cases[i].body,   strlen(cases[i].body)};
        char expected[256];

        for (size_t n = 0; n < 4 && cases[i].more[n].name != NULL; n++)
            headers[request.header_count++] = cases[i].more[n];
        (void)snprintf(expected, sizeof(expected),
                       "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                       "SignedHeaders=%s, Signature=%s",
                       cases[i].names, cases[i].signature);
        char *authorization = authorize(&request, &key);
        if (strcmp(authorization, expected) != 0)
            fail_msg("%s:\n%s\n%s", cases[i].name, authorization, expected);
        free(authorization);
    }
}

/* The worked example of AWS's documentation: IAM's ListUsers. */
static void test_sigv4_makes_the_documentations_example(void **state)
{
    static const struct http_header headers[] = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
                                                 {"Host", "iam.amazonaws.com"},
                                                 {"X-Amz-Date", TIME}};
    const struct sigv4_request request = {
        "GET", "/", "Action=ListUsers&Version=2010-05-08", headers, 3, NULL, 0,
    };
    struct sigv4_key iam = key;

    (void)state;
    iam.service = "iam";
    char *authorization = authorize(&request, &iam);
    assert_non_null(strstr(authorization, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
    free(authorization);
}

static void test_sigv4_refuses_what_is_too_much(void **state)
{
    struct http_header headers[SIGV4_HEADERS_MAX + 1];
    struct sigv4_request request = {.method = "GET", .path = "/", .headers = headers};
    char query[2 * (SIGV4_PARAMETERS_MAX + 1) + 1] = "";
    char *authorization = NULL;

    (void)state;
    for (size_t i = 0; i < SIGV4_HEADERS_MAX + 1; i++)
        headers[i] = (struct http_header){"Host", "h"};
    request.header_count = SIGV4_HEADERS_MAX + 1;
    assert_int_equal(sigv4_authorize(&request, &key, &authorization), -E2BIG);
    request.header_count = 1;
    for (size_t i = 0; i < SIGV4_PARAMETERS_MAX + 1; i++)
        strcat(query, "a&");
    request.query = query;
    assert_int_equal(sigv4_authorize(&request, &key, &authorization), -E2BIG);
    query[2 * SIGV4_PARAMETERS_MAX] = '\0';
    assert_int_equal(sigv4_authorize(&request, &key, &authorization), 0);
    free(authorization);
}

static void test_sigv4_writes_the_time(void **state)
{
    char text[SIGV4_TIME_SIZE];

    (void)state;
    sigv4_time(1440938160, text);
    assert_string_equal(text, TIME);
    for (uint64_t late_s = 253402300799; late_s != 0; late_s <<= 1) { /* a service may say so */
        sigv4_time(late_s, text);
        assert_string_equal(text, "99991231T235959Z");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigv4_makes_the_published_signatures),
        cmocka_unit_test(test_sigv4_makes_the_documentations_example),
        cmocka_unit_test(test_sigv4_refuses_what_is_too_much),
        cmocka_unit_test(test_sigv4_writes_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
