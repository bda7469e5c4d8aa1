# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OTLP requests of traces and logs: what a lenient receiver would let pass is a violation here. The tables are the
protocol's own, not made from our .proto files, so a wrong number there shows."""

import struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# message: {number: (name, kind, repeated)}; kinds that are no scalar are messages.
MESSAGES = {
    "Request": {1: ("resource_spans", "ResourceSpans", True)},
    "ResourceSpans": {1: ("resource", "Resource", False), 2: ("scope_spans", "ScopeSpans", True),
                      3: ("schema_url", "string", False)},
    "ScopeSpans": {1: ("scope", "Scope", False), 2: ("spans", "Span", True), 3: ("schema_url", "string", False)},
    "Resource": {1: ("attributes", "KeyValue", True), 2: ("dropped_attributes_count", "uint32", False)},
    "Scope": {1: ("name", "string", False), 2: ("version", "string", False), 3: ("attributes", "KeyValue", True),
              4: ("dropped_attributes_count", "uint32", False)},
    "KeyValue": {1: ("key", "string", False), 2: ("value", "AnyValue", False)},
    "AnyValue": {1: ("string_value", "string", False), 2: ("bool_value", "bool", False),
                 3: ("int_value", "int64", False), 4: ("double_value", "double", False),
                 5: ("array_value", "ArrayValue", False), 6: ("kvlist_value", "KeyValueList", False),
                 7: ("bytes_value", "bytes", False)},
    "ArrayValue": {1: ("values", "AnyValue", True)},
    "KeyValueList": {1: ("values", "KeyValue", True)},
    "Span": {1: ("trace_id", "bytes", False), 2: ("span_id", "bytes", False), 3: ("trace_state", "string", False),
             4: ("parent_span_id", "bytes", False), 5: ("name", "string", False), 6: ("kind", "enum", False),
             7: ("start_time_unix_nano", "fixed64", False), 8: ("end_time_unix_nano", "fixed64", False),
             9: ("attributes", "KeyValue", True), 10: ("dropped_attributes_count", "uint32", False),
             11: ("events", "Event", True), 12: ("dropped_events_count", "uint32", False),
             13: ("links", "Link", True), 14: ("dropped_links_count", "uint32", False),
             15: ("status", "Status", False), 16: ("flags", "fixed32", False)},
    "Event": {1: ("time_unix_nano", "fixed64", False), 2: ("name", "string", False),
              3: ("attributes", "KeyValue", True), 4: ("dropped_attributes_count", "uint32", False)},
    "Link": {1: ("trace_id", "bytes", False), 2: ("span_id", "bytes", False), 3: ("trace_state", "string", False),
             4: ("attributes", "KeyValue", True), 5: ("dropped_attributes_count", "uint32", False),
             6: ("flags", "fixed32", False)},
    "LogsRequest": {1: ("resource_logs", "ResourceLogs", True)},
    "ResourceLogs": {1: ("resource", "Resource", False), 2: ("scope_logs", "ScopeLogs", True),
                     3: ("schema_url", "string", False)},
    "ScopeLogs": {1: ("scope", "Scope", False), 2: ("log_records", "LogRecord", True),
                  3: ("schema_url", "string", False)},
    "LogRecord": {1: ("time_unix_nano", "fixed64", False), 2: ("severity_number", "enum", False),
                  3: ("severity_text", "string", False), 5: ("body", "AnyValue", False),
                  6: ("attributes", "KeyValue", True), 7: ("dropped_attributes_count", "uint32", False),
                  8: ("flags", "fixed32", False), 9: ("trace_id", "bytes", False), 10: ("span_id", "bytes", False),
                  11: ("observed_time_unix_nano", "fixed64", False), 12: ("event_name", "string", False)},
    "Status": {2: ("message", "string", False), 3: ("code", "enum", False)},
}

WIRE_TYPES = {"string": BYTES, "bytes": BYTES, "bool": VARINT, "int64": VARINT, "uint32": VARINT, "enum": VARINT,
              "double": FIXED64, "fixed64": FIXED64, "fixed32": FIXED32}
INITIAL = {"string": "", "bytes": b"", "bool": False, "int64": 0, "uint32": 0, "enum": 0, "double": 0.0, "fixed64": 0,
           "fixed32": 0}


class WireError(Exception):
    """The bytes are no protobuf of that message."""


def read_varint(data, at):
    """A varint and the place after it. One that is longer than need be is an error."""
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("varint cut off or too long")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise WireError("varint longer than need be")
            return number, at
        shift += 7


def take(data, at, length):
    """Bytes and the place after them."""
    if at + length > len(data):
        raise WireError("field longer than its message")
    return data[at:at + length], at + length


def read_field(data, at, wire):
    """The raw value of a field."""
    if wire == VARINT:
        return read_varint(data, at)
    if wire == FIXED64:
        return take(data, at, 8)
    if wire == FIXED32:
        return take(data, at, 4)
    if wire == BYTES:
        length, at = read_varint(data, at)
        return take(data, at, length)
    raise WireError(f"wire type {wire}")


def convert(kind, raw, note):
    """A raw value by its kind."""
    if kind == "string":
        try:
            return bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            note("a string is no UTF-8")
            return bytes(raw).decode("utf-8", "replace")
    if kind == "bytes":
        return bytes(raw)
    if kind == "bool":
        return bool(raw)
    if kind == "int64":
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == "double":
        return struct.unpack("<d", raw)[0]
    if kind in ("fixed64", "fixed32"):
        return int.from_bytes(raw, "little")
    if kind in ("uint32", "enum") and raw >> 32:
        note(f"a {kind} of more than 32 bits")
    return raw


def decode(data, message, note):
    """A message as a dict: unset scalars have their initial value, unset messages are None."""
    fields = MESSAGES[message]
    out = {name: [] if repeated else INITIAL.get(kind) for name, kind, repeated in fields.values()}
    if message == "AnyValue":
        out = {}
    seen = set()
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        raw, at = read_field(data, at, wire)
        if number not in fields:
            note(f"{message} has an unknown field {number}")
            continue
        name, kind, repeated = fields[number]
        if wire != WIRE_TYPES.get(kind, BYTES):
            raise WireError(f"{message}.{name} has wire type {wire}")
        if not repeated and number in seen:
            note(f"{message}.{name} comes twice")
        seen.add(number)
        value = convert(kind, raw, note) if kind in INITIAL else decode(raw, kind, note)
        if repeated:
            out[name].append(value)
        else:
            out[name] = value
    return out


def plain_value(value, note):
    """An AnyValue as a Python value."""
    if value is None or len(value) != 1:
        note("an attribute without exactly one value")
        return None
    (kind, content), = value.items()
    if kind == "array_value":
        return [plain_value(one, note) for one in content["values"]]
    if kind == "kvlist_value":
        return attributes_of(content["values"], note)
    return content


def attributes_of(pairs, note):
    """Pairs as a dict; keys must be unique and not empty."""
    out = {}
    for pair in pairs:
        key = pair["key"]
        if not key or key in out:
            note(f"attribute key {key!r} is empty or comes twice")
        out[key] = plain_value(pair["value"], note)
    return out


def check_id(name, value, length, note):
    """Ids have their length and are not all zero."""
    if len(value) != length or not any(value):
        note(f"{name} {value.hex()!r} is no id of {length} bytes")


def check_span(span, note):
    """What a span must be beyond its form."""
    check_id("trace_id", span["trace_id"], 16, note)
    check_id("span_id", span["span_id"], 8, note)
    if span["parent_span_id"]:
        check_id("parent_span_id", span["parent_span_id"], 8, note)
        if span["parent_span_id"] == span["span_id"]:
            note("a span is its own parent")
    if not span["name"]:
        note("a span without a name")
    if not 1 <= span["kind"] <= 5:
        note(f"span kind {span['kind']}")
    if not 0 < span["start_time_unix_nano"] <= span["end_time_unix_nano"]:
        note("a span ends before its start, or has no times")
    if span["flags"] & ~0x303:
        note(f"span flags {span['flags']:#x}")
    if not span["flags"] & 0x100 and span["flags"] & 0x200:
        note("remote flag without its mask")
    if span["status"] and span["status"]["code"] not in (0, 2):
        note(f"status code {span['status']['code']}")
    if span["status"] and span["status"]["message"] and span["status"]["code"] != 2:
        note("status message without an error")


def check_record(record, note):
    """What a log record must be beyond its form."""
    if record["trace_id"]:
        check_id("trace_id", record["trace_id"], 16, note)
    if record["span_id"]:
        check_id("span_id", record["span_id"], 8, note)
        if not record["trace_id"]:
            note("a log record with a span id alone")
    if not record["observed_time_unix_nano"]:
        note("a log record that was never observed")
    if not 0 <= record["severity_number"] <= 24:
        note(f"severity {record['severity_number']}")
    if record["flags"] & ~0xFF:
        note(f"flags of a log record {record['flags']:#x}")
    if record["body"] is None and not record["event_name"]:
        note("a log record that says nothing")


def spans_of(body, note):
    """The spans of a request's body as dicts, each with its resource's attributes and its scope. note(text) is called for
    each violation; WireError when it can't be read at all."""
    return spans_in(decode(memoryview(body), "Request", note), note)


def logs_of(body, note):
    """The log records of a request's body likewise."""
    return logs_in(decode(memoryview(body), "LogsRequest", note), note)


def items_in(groups, scopes_name, items_name, note):
    """Each item of the groups of a decoded request, with its resource's attributes and its scope."""
    if not groups:
        note("an empty request")
    for group in groups:
        resource = attributes_of(group["resource"]["attributes"] if group["resource"] else [], note)
        if not resource.get("service.name"):
            note("a resource without service.name")
        for scoped in group[scopes_name]:
            scope = scoped["scope"] or {"name": "", "version": ""}
            for item in scoped[items_name]:
                item["resource"] = resource
                item["scope"] = {"name": scope["name"], "version": scope["version"]}
                item["attributes"] = attributes_of(item["attributes"], note)
                yield item


def spans_in(request, note):
    """The spans of a decoded request."""
    out = []
    for span in items_in(request["resource_spans"], "scope_spans", "spans", note):
        check_span(span, note)
        for event in span["events"]:
            event["attributes"] = attributes_of(event["attributes"], note)
        span["status"] = span["status"] or {"message": "", "code": 0}
        for name in ("trace_id", "span_id", "parent_span_id"):
            span[name] = span[name].hex()
        out.append(span)
    return out


def logs_in(request, note):
    """The log records of a decoded request."""
    out = []
    for record in items_in(request["resource_logs"], "scope_logs", "log_records", note):
        check_record(record, note)
        record["body"] = plain_value(record["body"], note) if record["body"] else None
        for name in ("trace_id", "span_id"):
            record[name] = record[name].hex()
        out.append(record)
    return out
