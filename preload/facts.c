// SPDX-License-Identifier: Apache-2.0
#include "preload/facts.h"

#include "preload/arena.h"
#include "preload/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    TEXT_MAX = WIRE_MESSAGE_MAX - 3 * WIRE_PAGE, /* leaves room for the paths that are added at a hand-over */
    ARGUMENT_MAX = 1024,
    ARGUMENTS_MAX = 16, /* enough to find an interpreter's script */
    VALUE_MAX = 8192,
};

/* Written at start, then read-only. */
static struct {
    char *text;
    size_t length;
} facts;

/* Variables that settings are made of, by their beginning. */
static bool is_setting(const char *entry)
{
    static const char prefixes[][40] = {"OTEL_",
                                        "SPANSHIM_",
                                        "HONEYCOMB_",
                                        "XDG_",
                                        "HOME=",
                                        "INVOCATION_ID=",
                                        "NO_COLOR=",
                                        "AWS_XRAY_",
                                        "HTTP_PROXY=",
                                        "http_proxy=",
                                        "HTTPS_PROXY=",
                                        "https_proxy=",
                                        "NO_PROXY=",
                                        "no_proxy=",
                                        WIRE_POD_MARK "=",
#define X(attribute, VARIABLE) #VARIABLE "=",
                                        WIRE_POD_VARIABLES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(entry, prefixes[i], strnlen(prefixes[i], sizeof(prefixes[i]))) == 0)
            return true;
    return false;
}

static void append(char kind, const char *text, size_t length)
{
    if (length + 2 > TEXT_MAX - facts.length)
        return;
    facts.text[facts.length] = kind;
    memcpy(facts.text + facts.length + 1, text, length + 1);
    facts.length += length + 2;
}

int facts_init(char *const *argv, char *const *envp)
{
    facts.text = arena_alloc(TEXT_MAX);
    if (!facts.text)
        return -ENOMEM;
    for (int i = 0; argv && argv[i] && i < ARGUMENTS_MAX; i++) {
        size_t length = strnlen(argv[i], ARGUMENT_MAX);

        if (length < ARGUMENT_MAX)
            append('a', argv[i], length);
    }
    for (; envp && *envp; envp++) {
        size_t length = is_setting(*envp) ? strnlen(*envp, VALUE_MAX) : VALUE_MAX;

        if (length < VALUE_MAX)
            append('e', *envp, length);
    }
    return 0;
}

const char *facts_text(size_t *ret_length)
{
    *ret_length = facts.length;
    return facts.text;
}
