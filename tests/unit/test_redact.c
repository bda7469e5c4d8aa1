/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define R            "REDACTED"

struct row {
    const char *input;
    const char *expected;
};

typedef size_t redact(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                      bool *ret_truncated);

static size_t redact_value(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                           bool *ret_truncated)
{
    (void)mode;
    return redact_header_value(text, len, out, out_size, ret_truncated);
}

/* At full length, and cut at every length: always a prefix of what is expected. */
static void check(redact *function, enum redact_mode mode, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t expected_len = strlen(rows[i].expected);
        for (size_t size = 0; size < expected_len + 3; size++) {
            char out[512];
            bool is_truncated;
            memset(out, '#', sizeof(out));
            size_t len = function(rows[i].input, strlen(rows[i].input), out, size, mode, &is_truncated);
            size_t wanted = size < expected_len ? size : expected_len;
            if (len != wanted || memcmp(out, rows[i].expected, wanted) != 0 || is_truncated != (size < expected_len))
                fail_msg("%s, room for %zu: expected %s, seen %.*s", rows[i].input, size, rows[i].expected, (int)len,
                         out);
            assert_int_equal(out[size], '#');
        }
    }
}

/* A key that may be harmless: its value is judged. */
static void test_redact_query_hides_random_values_of_ambiguous_keys(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"key=AIzaSyB0a1b2c3d4e5f6g7h8&a=1", "key=" R "&a=1"},
        {"state=x&code=4%2F0AX4XfWh8a1b2c3d4e", "state=x&code=" R},
        {"code=bfe2b4c4a1a3d2b0c6e1", "code=" R},
        {"Code=bfe2b4c4a1a3d2b0c6e1&code=DE", "Code=" R "&code=DE"},
        {"code=404&key=name", "code=404&key=name"},
        {"code=bfe2b4c4a1a3d2b0c6e&b=1", "code=bfe2b4c4a1a3d2b0c6e&b=1"}, /* 19 bytes */
        {"key=a-long-name-without-a-digit", "key=a-long-name-without-a-digit"},
        {"key=1234567890123456789012345", "key=1234567890123456789012345"},
        {"postcode=abcdefghij0123456789", "postcode=abcdefghij0123456789"},
        {"key=x:token=abc", "key=x:token=" R},
        {"token[code]=a", "token[code]=" R},
    };
    check(redact_query, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_query_hides_values_of_sensitive_keys(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {"a=1&b=2", "a=1&b=2"},
        {"token=abc", "token=" R},
        {"a=1&token=abc&b=2", "a=1&token=" R "&b=2"},
        {"token=", "token="},
        {"token", "token"},
        {"token=&b=2", "token=&b=2"},
        {"token=a&token=b", "token=" R "&token=" R},
        {"TOKEN=a&ToKeN=b", "TOKEN=" R "&ToKeN=" R},
        {"access_token=a&refreshToken=b&api_key=c&apikey=d&Api-Key=e",
         "access_token=" R "&refreshToken=" R "&api_key=" R "&apikey=" R "&Api-Key=" R},
        {"sig=a&Signature=b&AWSAccessKeyId=c", "sig=" R "&Signature=" R "&AWSAccessKeyId=" R},
        {"X-Amz-Signature=a&X-Amz-Credential=b&X-Amz-Security-Token=c&X-Amz-Date=d",
         "X-Amz-Signature=" R "&X-Amz-Credential=" R "&X-Amz-Security-Token=" R "&X-Amz-Date=d"},
        {"X-Goog-Signature=a", "X-Goog-Signature=" R},
        {"pw=a&pass=b&passwd=c&password=d&password_confirmation=e&confirmPassword=f",
         "pw=" R "&pass=" R "&passwd=" R "&password=" R "&password_confirmation=" R "&confirmPassword=" R},
        {"secret=a&client_secret=b&user_session_secret=c&auth=d&authorization=e&session=f&session_id=g",
         "secret=" R "&client_secret=" R "&user_session_secret=" R "&auth=" R "&authorization=" R "&session=" R
         "&session_id=" R},
        {"authenticity_token=a&csrf=b&oauth_token=c&authentication=d",
         "authenticity_token=" R "&csrf=" R "&oauth_token=" R "&authentication=" R},
        {"author=a&compass=b&signal=c&passenger=d&sid_x=e", "author=a&compass=b&signal=c&passenger=d&sid_x=e"},
        {"token=a=b==", "token=" R},
        {"token=a;b#c?d", "token=" R},
        {"a=1;token=b;c=2", "a=1;token=" R},
        {"a=b#token=c", "a=b#token=" R},
    };
    check(redact_query, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_query_sees_through_encodings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"%74oken=a", "%74oken=" R},
        {"%54%4F%4b%45%4e=a&b=1", "%54%4F%4b%45%4e=" R "&b=1"},
        {"to%6ben%3Da&b=1", "to%6ben%3D" R "&b=1"},
        {"%2574oken=a", "%2574oken=" R},
        {"token%5b%5D=a", "token%5b%5D=" R},
        {"next=%2Fcb%3Ftoken%3Dabc%26x%3D1&b=2", "next=%2Fcb%3Ftoken%3D" R "&b=2"},
        {"next=%252Fcb%253Ftoken%253Dabc&b=2", "next=%252Fcb%253Ftoken%253D" R "&b=2"},
        {"next=/cb?token=abc", "next=/cb?token=" R},
        {"%=token&%7=a&%zz=b", "%=token&%7=a&%zz=b"},
        {"+token=a&%20token=b", "+token=" R "&%20token=" R},
        {"a=%25&token=b", "a=%25&token=" R},
    };
    check(redact_query, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_query_sees_arrays_and_objects(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"token[]=a&token[0]=b", "token[]=" R "&token[0]=" R},
        {"user[password]=a&user[name]=b", "user[password]=" R "&user[name]=b"},
        {"password[user]=a", "password[user]=" R},
        {"user.password=a&token.value=b&x.y=c", "user.password=" R "&token.value=" R "&x.y=c"},
        {"j={\"a\":1,\"token\":\"x\"}&b=1", "j={\"a\":1,\"token\":" R "&b=1"},
        {"state=token=a", "state=token=" R},
    };
    check(redact_query, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_query_hides_userinfo_of_urls_within(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"u=http://me:pw@h/p&b=1", "u=http://" R ":" R "@h/p&b=1"},
        {"u=http://me@h", "u=http://" R ":" R "@h"},
        {"u=http://me:p@w@h", "u=http://" R ":" R "@h"},
        {"u=http%3A%2F%2Fme%3Apw%40h%2Fp", "u=http%3A%2F%2F" R ":" R "%40h%2Fp"},
        {"u=http://h/a@b&m=a@b", "u=http://h/a@b&m=a@b"},
        {"u=http://@h", "u=http://@h"},
    };
    check(redact_query, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_query_hides_in_doubt(void **state)
{
    (void)state;
    char query[100], expected[100];
    memset(query, 'a', sizeof(query));
    strcpy(query + 60, "=b&c=1");
    strcpy(expected, query);
    strcpy(expected + 60, "=" R "&c=1");
    const struct row row = {query, expected};
    check(redact_query, REDACT_VALUES, &row, 1);
}

static void test_redact_query_drops_or_keeps(void **state)
{
    (void)state;
    static const struct row dropped = {"a=1&token=abc", ""}, kept = {"a=1&token=abc", "a=1&token=abc"};
    check(redact_query, REDACT_DROP, &dropped, 1);
    check(redact_query, REDACT_KEEP, &kept, 1);
}

static void test_redact_path_hides_parameters(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"/a/b.html", "/a/b.html"},
        {"/a;jsessionid=123/b", "/a;jsessionid=" R "/b"},
        {"/a;v=1;JSESSIONID=123;w=2", "/a;v=1;JSESSIONID=" R ";w=2"},
        {"/wiki/Token:Ring/token/x=1", "/wiki/Token:Ring/token/x=1"},
        {"/proxy/http://me:pw@h/p", "/proxy/http://" R ":" R "@h/p"},
        {"/@scope/a@1.2", "/@scope/a@1.2"},
    };
    check(redact_path, REDACT_VALUES, rows, COUNT(rows));
    check(redact_path, REDACT_DROP, rows, COUNT(rows));
}

static size_t redact_message(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                             bool *ret_truncated)
{
    (void)mode;
    return redact_prose(text, len, out, out_size, ret_truncated);
}

static void test_redact_prose_hides_values_but_no_code(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {"  ", "  "},
        {"a message", "a message"},
        {"password=x, user=y", "password=" R ", user=y"},
        {"--token=x --port=8", "--token=" R " --port=8"},
        {"GET https://u:p@h/a?token=x&b=1 failed", "GET https://" R ":" R "@h/a?token=" R "&b=1 failed"},
        {"in Auth::check(token): token:5", "in Auth::check(token): token:5"},
        {"my token is=abc", "my token is=abc"},
        {"zero == 1, token==0 pass!=1 pw<=3", "zero == 1, token==0 pass!=1 pw<=3"},
        {"token=YWJj==", "token=" R},
        {"a==b&token=c", "a==b&token=" R},
    };
    check(redact_message, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_tells_sensitive_names(void **state)
{
    (void)state;
    assert_true(redact_name_is_sensitive("--password", strlen("--password")));
    assert_true(redact_name_is_sensitive("X-Api-Key", strlen("X-Api-Key")));
    assert_true(redact_name_is_sensitive("auth", 4));
    assert_false(redact_name_is_sensitive("author", 6));
    assert_false(redact_name_is_sensitive("", 0));
}

static void test_redact_header_value_hides_secrets_of_urls(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"text/html, */*;q=0.8", "text/html, */*;q=0.8"},
        {"https://me:pw@h/p?token=a&b=1", "https://" R ":" R "@h/p?token=" R "&b=1"},
        {"</a?sig=1>; rel=next, </b>", "</a?sig=" R "; rel=next, </b>"},
    };
    check(redact_value, REDACT_VALUES, rows, COUNT(rows));
}

static void test_redact_url_hides_userinfo_and_query(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"/a?token=b", "/a?token=" R},
        {"http://h/p", "http://h/p"},
        {"http://me:pw@h:80/p?a=1&token=b", "http://" R ":" R "@h:80/p?a=1&token=" R},
        {"http://me@h", "http://" R ":" R "@h"},
        {"http://m@e:p@w@h?x=@", "http://" R ":" R "@h?x=@"},
        {"http://h/p@q?r@s", "http://h/p@q?r@s"},
        {"me:pw@h:443", R ":" R "@h:443"},
        {"h:443", "h:443"},
        {"*", "*"},
        {"/a;sid=1?b", "/a;sid=" R "?b"},
        {"", ""},
        {"?", "?"},
    };
    check(redact_url, REDACT_VALUES, rows, COUNT(rows));
    static const struct row dropped = {"http://me:pw@h/p?a=1", "http://" R ":" R "@h/p"};
    check(redact_url, REDACT_DROP, &dropped, 1);
}

static void check_ip(const char *text, enum redact_ip_mode mode, const char *expected)
{
    char out[64];
    size_t len = redact_client_ip(text, strlen(text), mode, out, sizeof(out));
    if (len != strlen(expected) || memcmp(out, expected, len) != 0)
        fail_msg("%s: expected %s, seen %.*s", text, expected, (int)len, out);
}

static void test_redact_client_ip_takes_the_end_off(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"192.0.2.254", "192.0.2.0"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::"},
        {"::1", "::"},
        {"::ffff:192.0.2.254", "::ffff:192.0.2.0"},
        {"_hidden", "_hidden"},
        {"host.example", ""},
        {"192.0.2.254:80", ""},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_ip(rows[i].input, REDACT_IP_ANONYMIZE, rows[i].expected);
        check_ip(rows[i].input, REDACT_IP_FULL, rows[i].input);
        check_ip(rows[i].input, REDACT_IP_NONE, "");
    }
    char out[4];
    assert_int_equal(redact_client_ip("192.0.2.1", 9, REDACT_IP_FULL, out, sizeof(out)), 0);
}

static void test_redact_ip_bytes_takes_the_end_off(void **state)
{
    (void)state;
    static const uint8_t zero[16];
    uint8_t v4[] = {192, 0, 2, 254}, v6[16], kept[] = {1, 2, 3, 4, 5, 6};
    redact_ip_bytes(v4, 4, REDACT_IP_FULL);
    assert_int_equal(v4[3], 254);
    redact_ip_bytes(v4, 4, REDACT_IP_ANONYMIZE);
    assert_int_equal(v4[3], 0);
    assert_int_equal(v4[2], 2);
    for (size_t i = 0; i < 16; i++)
        v6[i] = (uint8_t)(i + 1);
    redact_ip_bytes(v6, 16, REDACT_IP_ANONYMIZE);
    assert_memory_equal(v6, kept, 6);
    assert_memory_equal(v6 + 6, zero, 10);
    redact_ip_bytes(v6, 16, REDACT_IP_NONE);
    assert_memory_equal(v6, zero, 16);
}

static void test_redact_header_allowed_refuses_credentials(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "authorization",
        "Authorization",
        "proxy-authorization",
        "www-authorization",
        "cookie",
        "Set-Cookie",
        "x-api-key",
        "X-Auth-Token",
        "x-access-token",
        "oauth-access-token",
        "x-csrf-token",
        "x_csrf_token",
        "omniauth.auth",
        "x-amz-security-token",
        "x-client-secret",
        "x-goog-iap-jwt-assertion",
        "dpop",
        "ocp-apim-subscription-key",
        "x-session",
        "X-Rollbar-Access-Token",
        "php-auth-pw",
        "a-name-that-is-so-long-that-nobody-can-tell-what-it-is-good-for",
    };
    static const char *const allowed[] = {
        "accept", "user-agent", "content-type", "x-request-id", "referer", "etag", "x-forwarded-for", "host",
    };
    for (size_t i = 0; i < COUNT(refused); i++)
        if (redact_header_allowed(refused[i], strlen(refused[i]), REDACT_IP_FULL))
            fail_msg("%s", refused[i]);
    for (size_t i = 0; i < COUNT(allowed); i++)
        if (!redact_header_allowed(allowed[i], strlen(allowed[i]), REDACT_IP_FULL))
            fail_msg("%s", allowed[i]);
}

/* What proxies say of the client is as private as the peer's address. */
static void test_redact_header_allowed_follows_the_mode_of_addresses(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Forwarded",      "X-Forwarded-For",     "x-real-ip",           "CF-Connecting-IP",
        "True-Client-IP", "x-client-ip",         "X-Cluster-Client-IP", "x-envoy-external-address",
        "remote-addr",    "x-appengine-user-ip",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_true(redact_header_allowed(names[i], strlen(names[i]), REDACT_IP_FULL));
        if (redact_header_allowed(names[i], strlen(names[i]), REDACT_IP_ANONYMIZE) ||
            redact_header_allowed(names[i], strlen(names[i]), REDACT_IP_NONE))
            fail_msg("%s", names[i]);
    }
    assert_true(redact_header_allowed("x-forwarded-proto", 17, REDACT_IP_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redact_query_hides_values_of_sensitive_keys),
        cmocka_unit_test(test_redact_query_hides_random_values_of_ambiguous_keys),
        cmocka_unit_test(test_redact_query_sees_through_encodings),
        cmocka_unit_test(test_redact_query_sees_arrays_and_objects),
        cmocka_unit_test(test_redact_query_hides_userinfo_of_urls_within),
        cmocka_unit_test(test_redact_query_hides_in_doubt),
        cmocka_unit_test(test_redact_query_drops_or_keeps),
        cmocka_unit_test(test_redact_path_hides_parameters),
        cmocka_unit_test(test_redact_prose_hides_values_but_no_code),
        cmocka_unit_test(test_redact_tells_sensitive_names),
        cmocka_unit_test(test_redact_header_value_hides_secrets_of_urls),
        cmocka_unit_test(test_redact_url_hides_userinfo_and_query),
        cmocka_unit_test(test_redact_client_ip_takes_the_end_off),
        cmocka_unit_test(test_redact_ip_bytes_takes_the_end_off),
        cmocka_unit_test(test_redact_header_allowed_refuses_credentials),
        cmocka_unit_test(test_redact_header_allowed_follows_the_mode_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
