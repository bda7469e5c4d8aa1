/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/address.h"

#include "preload/wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>

static_assert((int)ADDRESS_SIZE == INET6_ADDRSTRLEN, "address");

/* inet_ntop goes through printf for these, the most common ones. */
static size_t format_inet(const uint8_t ip[4], char *out)
{
    char *p = out;

    for (int i = 0; i < 4; i++) {
        if (ip[i] >= 100)
            *p++ = (char)('0' + ip[i] / 100);
        if (ip[i] >= 10)
            *p++ = (char)('0' + ip[i] / 10 % 10);
        *p++ = (char)('0' + ip[i] % 10);
        *p++ = '.';
    }
    p[-1] = '\0';
    return (size_t)(p - out) - 1;
}

size_t address_format(const struct wire_address *address, char out[ADDRESS_SIZE])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (address->family == WIRE_FAMILY_INET)
        return format_inet(address->ip, out);
    if (address->family == WIRE_FAMILY_INET6 && memcmp(address->ip, mapped, sizeof(mapped)) == 0)
        return format_inet(address->ip + sizeof(mapped), out);
    if (address->family == WIRE_FAMILY_INET6 && inet_ntop(AF_INET6, address->ip, out, ADDRESS_SIZE) != NULL)
        return strlen(out);
    out[0] = '\0';
    return 0;
}

struct slice address_client(const struct span *span, char text[ADDRESS_SIZE])
{
    struct slice client = span->text[WIRE_TEXT_CLIENT_ADDRESS];

    if (client.length > 0)
        return client;
    return (struct slice){text, address_format(&span->request->peer, text)};
}
