/* SPDX-License-Identifier: Apache-2.0 */
/* W3C baggage: "key=value;property,key=value", in one field or several. It is passed on as it came; what goes beyond
 * the limits is left out by whole members. */
#include "preload/carried.h"
#include "preload/propagation_internal.h"

#include <string.h>

enum { MEMBERS_MAX = 64 };

/* A token (RFC 9110 5.6.2). */
static bool is_key(struct slice key)
{
    for (size_t i = 0; i < key.length; i++) {
        char c = slice_lower(key.bytes[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return key.length > 0;
}

static bool is_member(struct slice member)
{
    struct slice key, value = member;

    return slice_next(&value, '=', &key) && value.bytes && is_key(slice_trim(key)) && propagation_is_text(value);
}

static void keep(struct propagation *propagation, struct slice list)
{
    struct slice member;

    while (slice_next(&list, ',', &member)) {
        const struct carried *carried = propagation->carried;
        size_t length = carried && carried->baggage_length > 0 ? carried->baggage_length + 1u : 0;

        member = slice_trim(member);
        if (!is_member(member) || (carried && carried->baggage_members == MEMBERS_MAX) ||
            length + member.length > CARRIED_BAGGAGE_MAX)
            continue;
        if (carried_reserve(&propagation->carried, length + member.length))
            carried_add_baggage(propagation->carried, member);
        else
            propagation->lost = true;
    }
}

bool propagation_extract_baggage(struct propagation *propagation, struct propagation_found *found, struct slice field,
                                 struct slice value)
{
    if (!slice_is(field, "baggage"))
        return false;
    found->seen = 1;
    if (propagation->keeps)
        keep(propagation, value);
    return false; /* it has no part in the trace context: the program's own stays where it is */
}

/* As many whole members as there is room for. */
static struct slice cut(struct slice list, size_t room)
{
    if (list.length <= room)
        return list;
    while (room > 0 && list.bytes[room] != ',')
        room--;
    return (struct slice){list.bytes, room};
}

void propagation_write_baggage(struct propagation_lines *lines, const struct trace_context *context,
                               const struct propagation_carried *carried)
{
    static const size_t around = sizeof("baggage: \r\n") - 1;
    size_t room = (size_t)(lines->end - lines->at);
    struct slice list = cut(carried->baggage, room > around ? room - around : 0);

    (void)context;
    if (list.length == 0 || lines->is_cut)
        return;
    propagation_put_text(lines, "baggage: ");
    propagation_put(lines, list);
    propagation_put_text(lines, "\r\n");
}
