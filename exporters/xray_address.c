/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/xray_address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_ADDRESS "127.0.0.1:2000"
#define BLANKS          " \t"
#define NAME_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_."
#define FORMS           "it should be host:port, or tcp:host:port udp:host:port"

enum { WORD_SIZE = 300 };

enum { HAS_UDP = 1, HAS_TCP = 2, HAS_BOTH = HAS_UDP | HAS_TCP };

/* Of one word; NULL: nothing is wrong with it. */
static const char *parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (text[strspn(text, "0123456789")] != '\0' || end == text || port == 0 || port > UINT16_MAX)
        return "has a port that is no number in 1..65535";
    *ret_port = (uint16_t)port;
    return NULL;
}

static const char *parse_host(const char *text, size_t length, char host[XRAY_ADDRESS_HOST_SIZE])
{
    bool is_bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    const char *allowed = is_bracketed ? NAME_CHARACTERS ":%" : NAME_CHARACTERS;

    if (is_bracketed) {
        text++;
        length -= 2;
    }
    if (length == 0)
        return "has no host";
    if (!is_bracketed && memchr(text, ':', length) != NULL)
        return "has more than a host and a port (an IPv6 address stands in brackets)";
    if (length >= XRAY_ADDRESS_HOST_SIZE || strspn(text, allowed) < length)
        return "has a host that can't be one";
    memcpy(host, text, length);
    host[length] = '\0';
    return NULL;
}

static const char *parse_host_and_port(const char *word, char host[XRAY_ADDRESS_HOST_SIZE], uint16_t *port)
{
    const char *colon = strrchr(word, ':');

    if (colon == NULL || strchr(colon, ']') != NULL)
        return "has no port";
    const char *problem = parse_host(word, (size_t)(colon - word), host);
    return problem != NULL ? problem : parse_port(colon + 1, port);
}

/* What a word is for: "tcp:host:port", else "host:port". Of "tcp:2000", tcp is the host. */
static unsigned take_protocol(const char **word)
{
    bool is_tcp = strncasecmp(*word, "tcp:", 4) == 0;

    if ((!is_tcp && strncasecmp(*word, "udp:", 4) != 0) || strchr(*word + 4, ':') == NULL)
        return HAS_BOTH;
    *word += 4;
    return is_tcp ? HAS_TCP : HAS_UDP;
}

/* `has`: what the words so far were for. */
static const char *parse_word(const char *word, struct xray_address *address, unsigned *has)
{
    char host[XRAY_ADDRESS_HOST_SIZE];
    uint16_t port;
    unsigned is_for = take_protocol(&word);
    const char *problem = parse_host_and_port(word, host, &port);

    if (problem != NULL)
        return problem;
    if ((*has & is_for) != 0)
        return "says it twice";
    *has |= is_for;
    if ((is_for & HAS_UDP) != 0) {
        memcpy(address->udp_host, host, sizeof(host));
        address->udp_port = port;
    }
    if ((is_for & HAS_TCP) != 0) {
        memcpy(address->tcp_host, host, sizeof(host));
        address->tcp_port = port;
    }
    return NULL;
}

static const char *parse(const char *text, struct xray_address *address)
{
    unsigned has = 0;

    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS)) {
        char word[WORD_SIZE];
        size_t length = strcspn(text, BLANKS);

        if (length >= sizeof(word))
            return "is too long";
        memcpy(word, text, length);
        word[length] = '\0';
        text += length;
        const char *problem = parse_word(word, address, &has);
        if (problem != NULL)
            return problem;
    }
    if (has == 0)
        return "is empty";
    return has == HAS_BOTH ? NULL : has == HAS_TCP ? "has no udp" : "has no tcp";
}

int xray_address_parse(const char *text, struct xray_address *ret_address, char problem[XRAY_ADDRESS_PROBLEM_SIZE])
{
    struct xray_address address = {0};
    const char *wrong = parse(text != NULL ? text : DEFAULT_ADDRESS, &address);

    if (wrong != NULL) {
        (void)snprintf(problem, XRAY_ADDRESS_PROBLEM_SIZE, "\"%.80s\" %s; " FORMS, text, wrong);
        return -EINVAL;
    }
    *ret_address = address;
    return 0;
}

void xray_address_show(const char *host, uint16_t port, char *out, size_t size)
{
    (void)snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
}

void xray_address_describe(const char *text, char *out, size_t size)
{
    struct xray_address address;
    char problem[XRAY_ADDRESS_PROBLEM_SIZE];
    char shown[XRAY_ADDRESS_HOST_SIZE + 16];

    out[0] = '\0';
    if (xray_address_parse(text, &address, problem) < 0)
        return;
    xray_address_show(address.udp_host, address.udp_port, shown, sizeof(shown));
    (void)snprintf(out, size, "udp %s", shown);
}
