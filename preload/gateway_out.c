/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/gateway_out.h"

#include "preload/outgoing.h"

#include <string.h>
#include <sys/uio.h>

enum {
    RECORD_HEADER = 8,
    RECORD_PARAMS = 4,
    LONG_LENGTH = 128,      /* from here on FastCGI's lengths take 4 bytes */
    HEAD_MAX = 24 * 1024,   /* of what is copied to be sent */
    UWSGI_BLOCK_MAX = 4096, /* uwsgi refuses more, unless its buffer-size is set */
    UWSGI_HEADER = 4,
};

void gateway_note_context(struct gateway *gateway)
{
    if (gateway->context_count < GATEWAY_CONTEXTS_MAX)
        gateway->contexts[gateway->context_count++] = gateway->param;
}

static uint8_t byte_at(const struct gateway_head *head, size_t at)
{
    const struct iovec *iov = head->iov;

    while (at >= iov->iov_len)
        at -= iov++->iov_len;
    return ((const uint8_t *)iov->iov_base)[at];
}

/* Ours */

struct writer {
    char *at, *end;
    uint8_t protocol;
    bool is_cut;
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
    if (length > (size_t)(writer->end - writer->at)) {
        writer->is_cut = true;
        return;
    }
    memcpy(writer->at, bytes, length);
    writer->at += length;
}

static void put_length(struct writer *writer, size_t length)
{
    const uint8_t low_first[] = {(uint8_t)length, (uint8_t)(length >> 8)};
    const uint8_t high_first[] = {0x80, 0, (uint8_t)(length >> 8), (uint8_t)length};

    if (writer->protocol == WIRE_PROTOCOL_UWSGI)
        put(writer, low_first, sizeof(low_first));
    else if (writer->protocol == WIRE_PROTOCOL_FASTCGI && length >= LONG_LENGTH)
        put(writer, high_first, sizeof(high_first));
    else if (writer->protocol == WIRE_PROTOCOL_FASTCGI)
        put(writer, low_first, 1);
}

/* "X-Name" as HTTP_X_NAME. */
static void put_name(struct writer *writer, struct slice name)
{
    put(writer, "HTTP_", 5);
    for (size_t i = 0; i < name.length; i++) {
        char c = name.bytes[i];

        c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        put(writer, c == '-' ? "_" : &c, 1);
    }
}

static void put_pair(struct writer *writer, struct slice name, struct slice value)
{
    bool has_ends = writer->protocol == WIRE_PROTOCOL_SCGI;

    put_length(writer, name.length + 5);
    if (writer->protocol == WIRE_PROTOCOL_FASTCGI)
        put_length(writer, value.length);
    put_name(writer, name);
    put(writer, "", has_ends);
    if (writer->protocol == WIRE_PROTOCOL_UWSGI)
        put_length(writer, value.length);
    put(writer, value.bytes, value.length);
    put(writer, "", has_ends);
}

/* Header lines as variables; in FastCGI in a record. Returns their length, 0: there is no room for them. */
static size_t put_lines(const struct gateway *gateway, struct slice lines, char *out, size_t room)
{
    bool is_record = gateway->protocol == WIRE_PROTOCOL_FASTCGI;
    struct writer writer = {.at = out, .end = out + room, .protocol = gateway->protocol};
    uint8_t header[RECORD_HEADER] = {1, RECORD_PARAMS, (uint8_t)(gateway->id >> 8), (uint8_t)gateway->id};
    struct slice line, name;
    size_t length;

    put(&writer, header, is_record ? sizeof(header) : 0);
    while (slice_next(&lines, '\n', &line)) {
        if (line.length > 0 && line.bytes[line.length - 1] == '\r')
            line.length--;
        if (slice_next(&line, ':', &name) && line.bytes)
            put_pair(&writer, name, slice_trim(line));
    }
    length = (size_t)(writer.at - out);
    if (is_record) {
        out[4] = (char)((length - sizeof(header)) >> 8);
        out[5] = (char)(length - sizeof(header));
    }
    return writer.is_cut ? 0 : length;
}

/* The program's */

/* Leave out those trace variables of a FastCGI record that are whole in this call, from number *first on; the record
 * says how long it is. False: there are too many. */
static bool leave_out_of_record(const struct gateway *gateway, const struct gateway_head *head, size_t begin,
                                struct outgoing *outgoing, unsigned *first)
{
    const size_t record = begin + gateway->contexts[*first].record_at;
    const size_t content = (size_t)byte_at(head, record + 4) << 8 | byte_at(head, record + 5);
    size_t length = 0;
    unsigned last = *first, i = *first;
    char left[2];

    for (; last < gateway->context_count && begin + gateway->contexts[last].record_at == record; last++)
        length += gateway->contexts[last].length;
    *first = last;
    if (length == content) /* without content it would end them all */
        return outgoing_omit(outgoing, record, RECORD_HEADER + content + byte_at(head, record + 6));
    left[0] = (char)((content - length) >> 8);
    left[1] = (char)(content - length);
    if (length > 0 && !outgoing_replace(outgoing, record + 4, sizeof(left), left, sizeof(left)))
        return false;
    for (; i < last; i++)
        if (gateway->contexts[i].length > 0 &&
            !outgoing_omit(outgoing, begin + gateway->contexts[i].at, gateway->contexts[i].length))
            return false;
    return true;
}

/* One that has gone out already, or stands in two records, stays: programs take the last one of a name. */
static bool leave_out_of_records(const struct gateway *gateway, const struct gateway_head *head,
                                 struct outgoing *outgoing)
{
    size_t sent = gateway->at > head->end ? gateway->at - head->end : 0; /* bytes of the head, in earlier calls */
    unsigned i = 0;

    while (i < gateway->context_count && gateway->contexts[i].record_at < sent)
        i++;
    while (i < gateway->context_count)
        if (!leave_out_of_record(gateway, head, head->end - gateway->at, outgoing, &i))
            return false;
    return true;
}

/* A decimal number; returns its length. */
static size_t put_number(char out[OUTGOING_REPLACEMENT_MAX], size_t number)
{
    size_t length = 1;

    for (size_t rest = number; rest >= 10; rest /= 10)
        length++;
    for (size_t i = length; i > 0; number /= 10)
        out[--i] = (char)('0' + number % 10);
    return length;
}

/* The block of SCGI or uwsgi: its length, and without its trace variables. */
static enum wire_withhold change_block(const struct gateway *gateway, const struct gateway_head *head,
                                       struct outgoing *outgoing, size_t own_length)
{
    const size_t begin = head->end - gateway->at;
    char number[OUTGOING_REPLACEMENT_MAX] = {0};
    size_t block, digits = 0;

    if (head->end < gateway->at)
        return WIRE_WITHHOLD_HEAD_CUT;
    while (gateway->protocol == WIRE_PROTOCOL_SCGI && byte_at(head, begin + digits) != ':')
        digits++;
    block = gateway->at + own_length - (digits > 0 ? digits + 2 : UWSGI_HEADER);
    for (unsigned i = 0; i < gateway->context_count; i++)
        block -= gateway->contexts[i].length;
    if (digits == 0 && block > UWSGI_BLOCK_MAX)
        return WIRE_WITHHOLD_HEAD_TOO_LONG;
    number[0] = (char)block;
    number[1] = (char)(block >> 8);
    (void)outgoing_replace(outgoing, begin + (digits == 0), digits > 0 ? digits : 2, number,
                           digits > 0 ? put_number(number, block) : 2);
    for (unsigned i = 0; i < gateway->context_count; i++)
        (void)outgoing_omit(outgoing, begin + gateway->contexts[i].at, gateway->contexts[i].length);
    return WIRE_WITHHOLD_NONE;
}

enum wire_withhold gateway_put_lines(const struct gateway *gateway, const struct gateway_head *head, struct slice lines,
                                     struct outgoing *outgoing, size_t *ret_own_before, size_t *ret_own_length)
{
    static const uint8_t behind[WIRE_PROTOCOL_COUNT] = {
        [WIRE_PROTOCOL_FASTCGI] = RECORD_HEADER, /* the empty record that ends them */
        [WIRE_PROTOCOL_SCGI] = 1,                /* the comma */
    };
    size_t own = put_lines(gateway, lines, outgoing->own, sizeof(outgoing->own));

    if (head->end < behind[gateway->protocol])
        return WIRE_WITHHOLD_HEAD_CUT;
    if (own == 0 || head->end > HEAD_MAX)
        return WIRE_WITHHOLD_HEAD_TOO_LONG;
    *ret_own_before = head->end - behind[gateway->protocol];
    *ret_own_length = own;
    if (gateway->protocol != WIRE_PROTOCOL_FASTCGI)
        return change_block(gateway, head, outgoing, own);
    return leave_out_of_records(gateway, head, outgoing) ? WIRE_WITHHOLD_NONE : WIRE_WITHHOLD_HEAD_TOO_LONG;
}
