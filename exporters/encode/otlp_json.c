/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_json.h"

#include "exporters/encode/buffer.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_MAX = 32,  /* characters of a number, with quotes */
    ESCAPED_MAX = 6,  /* characters that one byte may become: \u001f */
    NESTING_MAX = 32, /* messages within messages; those of traces are 9 deep */
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
};

/* A message's bytes, and how far they have been read. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* A field as it stands in the message. */
struct value {
    uint32_t field;
    unsigned wire;
    uint64_t number;      /* of a varint or a fixed one */
    const uint8_t *bytes; /* of the others */
    size_t length;
};

static int read_varint(struct reader *reader, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_number = number;
            return 0;
        }
    }
    return -EBADMSG;
}

static int read_fixed(struct reader *reader, size_t size, uint64_t *ret_number)
{
    uint64_t number = 0;

    if ((size_t)(reader->end - reader->at) < size)
        return -EBADMSG;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)reader->at[i] << 8 * i;
    reader->at += size;
    *ret_number = number;
    return 0;
}

static int read_bytes(struct reader *reader, struct value *value)
{
    uint64_t length;

    if (read_varint(reader, &length) < 0 || length > (size_t)(reader->end - reader->at))
        return -EBADMSG;
    value->bytes = reader->at;
    value->length = length;
    reader->at += length;
    return 0;
}

static int read_value(struct reader *reader, struct value *value)
{
    uint64_t tag;

    if (read_varint(reader, &tag) < 0 || tag >> 32 != 0)
        return -EBADMSG;
    value->field = (uint32_t)(tag >> 3);
    value->wire = tag & 7;
    switch (value->wire) {
    case WIRE_VARINT:
        return read_varint(reader, &value->number);
    case WIRE_FIXED64:
        return read_fixed(reader, 8, &value->number);
    case WIRE_FIXED32:
        return read_fixed(reader, 4, &value->number);
    case WIRE_BYTES:
        return read_bytes(reader, value);
    default:
        return -EBADMSG;
    }
}

static const char hex_digits[] = "0123456789abcdef";

/* Room must have been reserved for these. */
static void put(struct buffer *out, char c)
{
    out->bytes[out->length++] = (uint8_t)c;
}

static void put_run(struct buffer *out, const uint8_t *bytes, size_t length)
{
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void put_escaped(struct buffer *out, uint8_t c)
{
    put(out, '\\');
    if (c == '"' || c == '\\') {
        put(out, (char)c);
        return;
    }
    put_run(out, (const uint8_t *)"u00", 3);
    put(out, hex_digits[c >> 4]);
    put(out, hex_digits[c & 15]);
}

static bool is_plain(uint8_t c)
{
    return c >= ' ' && c != '"' && c != '\\';
}

static int append_text(struct buffer *out, const uint8_t *text, size_t length)
{
    const uint8_t *end = text + length;
    int r = buffer_reserve(out, length * ESCAPED_MAX + 2);

    if (r < 0)
        return r;
    put(out, '"');
    while (text < end) {
        const uint8_t *run = text;
        while (text < end && is_plain(*text))
            text++;
        put_run(out, run, (size_t)(text - run));
        if (text < end)
            put_escaped(out, *text++);
    }
    put(out, '"');
    return 0;
}

static int append_hex(struct buffer *out, const uint8_t *bytes, size_t length)
{
    int r = buffer_reserve(out, length * 2 + 2);

    if (r < 0)
        return r;
    put(out, '"');
    for (size_t i = 0; i < length; i++) {
        put(out, hex_digits[bytes[i] >> 4]);
        put(out, hex_digits[bytes[i] & 15]);
    }
    put(out, '"');
    return 0;
}

static int append_base64(struct buffer *out, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int r = buffer_reserve(out, length / 3 * 4 + 4 + 2);

    if (r < 0)
        return r;
    put(out, '"');
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        put(out, digits[three >> 18]);
        put(out, digits[three >> 12 & 63]);
        put(out, left > 1 ? digits[three >> 6 & 63] : '=');
        put(out, left > 2 ? digits[three & 63] : '=');
    }
    put(out, '"');
    return 0;
}

static int append_bytes(struct buffer *out, const char *name, const struct value *value)
{
    size_t length = strlen(name);
    bool is_id = length > 3 && strcmp(name + length - 3, "_id") == 0; /* of a trace or a span */

    return is_id ? append_hex(out, value->bytes, value->length) : append_base64(out, value->bytes, value->length);
}

/* 64 bits come as a string: a reader's numbers may be doubles. */
static int append_integer(struct buffer *out, bool is_negative, uint64_t magnitude, bool is_quoted)
{
    char text[NUMBER_MAX];
    char *end = text + sizeof(text);
    char *p = end;

    if (is_quoted)
        *--p = '"';
    do {
        *--p = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (is_negative)
        *--p = '-';
    if (is_quoted)
        *--p = '"';
    return buffer_append(out, p, (size_t)(end - p));
}

static int append_signed(struct buffer *out, int64_t number, bool is_quoted)
{
    return append_integer(out, number < 0, number < 0 ? -(uint64_t)number : (uint64_t)number, is_quoted);
}

/* As few digits as read back as the same number. JSON has none that isn't finite: protobuf's rule is names. */
static int append_double(struct buffer *out, uint64_t bits)
{
    char text[NUMBER_MAX];
    double number;

    memcpy(&number, &bits, sizeof(number));
    if (isnan(number))
        return buffer_append(out, "\"NaN\"", 5);
    if (isinf(number))
        return number > 0 ? buffer_append(out, "\"Infinity\"", 10) : buffer_append(out, "\"-Infinity\"", 11);
    int n = snprintf(text, sizeof(text), "%.15g", number);
    double read_back = strtod(text, NULL);
    if (memcmp(&read_back, &number, sizeof(number)) != 0)
        n = snprintf(text, sizeof(text), "%.17g", number);
    return buffer_append(out, text, (size_t)n);
}

/* trace_id -> "traceId": */
static int append_key(struct buffer *out, const char *name)
{
    int r = buffer_reserve(out, strlen(name) + 3);

    if (r < 0)
        return r;
    put(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '_' && islower((unsigned char)name[1]))
            put(out, (*++name - ('a' - 'A')));
        else
            put(out, *name);
    }
    put(out, '"');
    put(out, ':');
    return 0;
}

static int append_message(struct buffer *out, const ProtobufCMessageDescriptor *descriptor, struct reader reader,
                          unsigned depth);

/* How a field of this type stands in the bytes. -1: none of OTLP's traces has one. */
static int wire_of(ProtobufCType type)
{
    switch ((int)type) { /* a few of many */
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
        return WIRE_VARINT;
    default:
        return -1;
    }
}

static int append_value(struct buffer *out, const ProtobufCFieldDescriptor *field, const struct value *value,
                        unsigned depth)
{
    if ((int)value->wire != wire_of(field->type))
        return -EBADMSG;
    switch ((int)field->type) { /* those of wire_of */
    case PROTOBUF_C_TYPE_STRING:
        return append_text(out, value->bytes, value->length);
    case PROTOBUF_C_TYPE_BYTES:
        return append_bytes(out, field->name, value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return append_message(out, field->descriptor, (struct reader){value->bytes, value->bytes + value->length},
                              depth + 1);
    case PROTOBUF_C_TYPE_BOOL:
        return value->number != 0 ? buffer_append(out, "true", 4) : buffer_append(out, "false", 5);
    case PROTOBUF_C_TYPE_DOUBLE:
        return append_double(out, value->number);
    case PROTOBUF_C_TYPE_FIXED64:
        return append_integer(out, false, value->number, true);
    case PROTOBUF_C_TYPE_INT64:
        return append_signed(out, (int64_t)value->number, true);
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT32:
        return append_integer(out, false, (uint32_t)value->number, false);
    default:
        return append_signed(out, (int32_t)value->number, false);
    }
}

/* What stands before a value: comma, key, brackets. `list` is the list that is open, and the one that is afterwards. */
static int append_lead(struct buffer *out, const ProtobufCFieldDescriptor *field, bool is_first,
                       const ProtobufCFieldDescriptor **list)
{
    if (*list == field)
        return buffer_append(out, ",", 1);
    const char *between = *list != NULL ? "]," : is_first ? "" : ",";
    *list = field->label == PROTOBUF_C_LABEL_REPEATED ? field : NULL;
    int r = buffer_append(out, between, strlen(between));
    if (r == 0)
        r = append_key(out, field->name);
    return r == 0 && *list != NULL ? buffer_append(out, "[", 1) : r;
}

static int append_message(struct buffer *out, const ProtobufCMessageDescriptor *descriptor, struct reader reader,
                          unsigned depth)
{
    const ProtobufCFieldDescriptor *list = NULL;
    bool is_first = true;
    struct value value = {0};
    int r = depth < NESTING_MAX ? buffer_append(out, "{", 1) : -EBADMSG;

    while (r == 0 && reader.at < reader.end) {
        r = read_value(&reader, &value);
        const ProtobufCFieldDescriptor *field =
            r == 0 ? protobuf_c_message_descriptor_get_field(descriptor, value.field) : NULL;
        if (r == 0 && field == NULL)
            r = -EBADMSG;
        if (r == 0)
            r = append_lead(out, field, is_first, &list);
        if (r == 0)
            r = append_value(out, field, &value, depth);
        is_first = false;
    }
    if (r < 0)
        return r;
    return list != NULL ? buffer_append(out, "]}", 2) : buffer_append(out, "}", 1);
}

int otlp_json_append(struct buffer *out, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                     size_t length)
{
    return append_message(out, descriptor, (struct reader){bytes, bytes + length}, 0);
}
