/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/facts.h"

#include "preload/arena.h"
#include "preload/cgi.h"
#include "preload/env_file.h"
#include "preload/sys.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

enum {
    TEXT_MAX = WIRE_MESSAGE_MAX - 3 * WIRE_PAGE, /* leaves room for the paths that are added at a hand-over */
    ARGUMENT_MAX = 1024,
    ARGUMENTS_MAX = 16, /* enough to find an interpreter's script */
    VALUE_MAX = 8192,
    NAME_MAX = 64, /* of a setting that is left out */
};

/* Written at start, then read-only. */
static struct {
    char *text;
    size_t length;
    bool has_left_out;
} facts;

/* `prefixes`: one after the other, each with its NUL, then an empty one. */
static bool begins_with_one_of(const char *entry, const char *prefixes)
{
    for (size_t length; (length = strlen(prefixes)) > 0; prefixes += length + 1)
        if (strncmp(entry, prefixes, length) == 0)
            return true;
    return false;
}

/* What requests to AWS are signed with, and where they go. */
static bool is_for_signing(const char *entry)
{
    static const char prefixes[] = "AWS_ACCESS_KEY_ID=\0"
                                   "AWS_SECRET_ACCESS_KEY=\0"
                                   "AWS_SESSION_TOKEN=\0"
                                   "AWS_PROFILE=\0"
                                   "AWS_SHARED_CREDENTIALS_FILE=\0"
                                   "AWS_CONFIG_FILE=\0"
                                   "AWS_CONTAINER_\0"
                                   "AWS_WEB_IDENTITY_TOKEN_FILE=\0"
                                   "AWS_ENDPOINT_URL=\0"
                                   "AWS_ENDPOINT_URL_XRAY=\0"
                                   "AWS_ENDPOINT_URL_LOGS=\0"
                                   "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=\0"
                                   "AWS_CA_BUNDLE=\0";

    return begins_with_one_of(entry, prefixes);
}

/* Variables that settings are made of, by their beginning. */
static bool is_setting(const char *entry)
{
    static const char prefixes[] = "OTEL_\0"
                                   "SPANSHIM_\0"
                                   "HONEYCOMB_\0"
                                   "XDG_\0"
                                   "HOME=\0"
                                   "INVOCATION_ID=\0"
                                   "TZ=\0" /* request lines have its time */
                                   "NO_COLOR=\0"
                                   "AWS_XRAY_\0"
                                   "AWS_REGION=\0"
                                   "AWS_DEFAULT_REGION=\0"
                                   "AWS_EC2_METADATA_\0"
                                   "ROLLBAR_\0"
                                   "HTTP_PROXY=\0"
                                   "http_proxy=\0"
                                   "HTTPS_PROXY=\0"
                                   "https_proxy=\0"
                                   "NO_PROXY=\0"
                                   "no_proxy=\0" WIRE_POD_MARK "=\0"
#define X(attribute, VARIABLE) #VARIABLE "=\0"
        WIRE_POD_VARIABLES(X)
#undef X
        ;

    return begins_with_one_of(entry, prefixes) || is_for_signing(entry);
}

/* False: there is no room. Some is kept for the name of what has none. */
static bool append(char kind, const char *text, size_t length)
{
    if (length + 2 + (facts.has_left_out ? 0 : NAME_MAX + 2) > TEXT_MAX - facts.length)
        return false;
    facts.text[facts.length] = kind;
    memcpy(facts.text + facts.length + 1, text, length);
    facts.text[facts.length + 1 + length] = '\0';
    facts.length += length + 2;
    return true;
}

static void append_setting(const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t length = strnlen(entry, VALUE_MAX);

    if ((length < VALUE_MAX && append('e', entry, length)) || facts.has_left_out)
        return;
    facts.has_left_out = true;
    length = equals ? (size_t)(equals - entry) : strlen(entry);
    (void)append('o', entry, length < NAME_MAX ? length : NAME_MAX);
}

/* Our own mark of CGI; and what is in a CGI program's environment the header field Proxy, which anybody may send. */
static bool is_of_request(const char *entry, bool is_cgi)
{
    return strncmp(entry, CGI_MARK, sizeof(CGI_MARK) - 1) == 0 || (is_cgi && strncmp(entry, "HTTP_PROXY=", 11) == 0);
}

int facts_init(char *const *argv, char *const *envp)
{
    bool is_cgi;

    facts.text = arena_alloc(TEXT_MAX);
    if (!facts.text)
        return -ENOMEM;
    for (int i = 0; argv && argv[i] && i < ARGUMENTS_MAX; i++) {
        size_t length = strnlen(argv[i], ARGUMENT_MAX);

        if (length < ARGUMENT_MAX)
            (void)append('a', argv[i], length);
    }
    is_cgi = envp && cgi_is_described(envp);
    for (; envp && *envp; envp++)
        if (is_setting(*envp) && !is_of_request(*envp, is_cgi))
            append_setting(*envp);
    return 0;
}

/* The 'e' entry of this name from `at` on, or NULL. */
static char *find_setting(char *at, const char *name, size_t name_length)
{
    for (char *end = facts.text + facts.length; at < end; at += strlen(at) + 1)
        if (*at == 'e' && strncmp(at + 1, name, name_length) == 0 && at[1 + name_length] == '=')
            return at;
    return NULL;
}

static void remove_entry(char *entry)
{
    char *behind = entry + strlen(entry) + 1;

    memmove(entry, behind, (size_t)(facts.text + facts.length - behind));
    facts.length -= (size_t)(behind - entry);
    explicit_bzero(facts.text + facts.length, (size_t)(behind - entry));
}

/* What the environment says wins, empty values too; of the file's own lines the last of a name. `own` is where the
 * file's entries begin. */
static void add_setting(const char *entry, size_t own)
{
    size_t name_length = (size_t)(strchr(entry, '=') - entry);
    char *old = find_setting(facts.text, entry, name_length);

    if (!is_setting(entry) || (old && old < facts.text + own))
        return;
    if (old)
        remove_entry(old);
    append_setting(entry);
}

/* `f` and a number: -errno, or the first line that is no assignment. */
static void add_problem(long number)
{
    char digits[24];
    char *at = digits + sizeof(digits) - 1;
    unsigned long rest = number < 0 ? -(unsigned long)number : (unsigned long)number;

    *at = '\0';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--at = '-';
    (void)append('f', at, strlen(at));
}

/* A pipe or a device there must not hold the program up: O_NONBLOCK. 0, -ENOENT without a file, or -errno. */
static long read_system_file(const char *path, char **ret_text)
{
    long fd = sys_call4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    char *text = fd < 0 ? NULL : arena_alloc(ENV_FILE_SYSTEM_MAX + 1);
    long length = -ENOMEM;

    if (fd < 0)
        return fd;
    if (text)
        length = sys_call3(SYS_read, fd, (long)text, ENV_FILE_SYSTEM_MAX + 1);
    (void)sys_call1(SYS_close, fd);
    if (length < 0)
        return length;
    if (length > ENV_FILE_SYSTEM_MAX)
        return -EFBIG;
    text[length] = '\0';
    *ret_text = text;
    return strlen(text) == (size_t)length ? 0 : -EILSEQ;
}

static void add_settings(char *text)
{
    struct env_file file = env_file_open(text);
    const size_t own = facts.length;
    enum env_file_item item;
    unsigned line, bad_line = 0;
    char *entry;

    while ((item = env_file_next(&file, &entry, &line)) != ENV_FILE_END) {
        if (item == ENV_FILE_ENTRY)
            add_setting(entry, own);
        else if (bad_line == 0)
            bad_line = line;
    }
    if (bad_line > 0)
        add_problem(bad_line);
}

void facts_add_system(void)
{
    static const char variable[] = ENV_FILE_SYSTEM_VARIABLE;
    const char *entry = find_setting(facts.text, variable, sizeof(variable) - 1);
    const char *path = entry && entry[1 + sizeof(variable)] ? entry + 1 + sizeof(variable) : ENV_FILE_SYSTEM_PATH;
    char *text;

    if (*path != '/')
        return;
    long error = read_system_file(path, &text);
    if (error == 0)
        add_settings(text);
    else if (error != -ENOENT)
        add_problem(error);
}

static bool is_set_to(const char *name, const char *wanted)
{
    const char *entry = find_setting(facts.text, name, strlen(name));
    const char *value = entry ? entry + 1 + strlen(name) + 1 : "";

    value += strspn(value, " \t");
    return strncasecmp(value, wanted, strlen(wanted)) == 0 &&
           value[strlen(wanted) + strspn(value + strlen(wanted), " \t")] == '\0';
}

static bool is_at_aws(const char *name)
{
    const char *entry = find_setting(facts.text, name, strlen(name));

    return entry && strcasestr(entry, ".amazonaws.com");
}

void facts_drop_credentials(void)
{
    if (!is_set_to("SPANSHIM_CLOUDWATCH_LOG_GROUP", "") || is_set_to("SPANSHIM_XRAY_VIA", "api") ||
        is_set_to("SPANSHIM_OTLP_SIGV4", "on") || is_at_aws("OTEL_EXPORTER_OTLP_ENDPOINT") ||
        is_at_aws("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        return;
    for (char *at = facts.text; at < facts.text + facts.length;) {
        if (*at == 'e' && is_for_signing(at + 1))
            remove_entry(at);
        else
            at += strlen(at) + 1;
    }
}

const char *facts_text(size_t *ret_length)
{
    *ret_length = facts.length;
    return facts.text;
}
