# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OTLP's JSON: requests, and the lines of files. What comes out is what otlp_wire reads out of
protobuf."""

import base64
import binascii
import json
import re

from otlp_wire import INITIAL, MESSAGES, WireError, logs_in, spans_in

NOT_FINITE = ("NaN", "Infinity", "-Infinity")
UNSIGNED = {"uint32": 32, "fixed32": 32, "enum": 31, "fixed64": 64}


def camel(name):
    """trace_id as JSON has it: traceId."""
    return re.sub("_([a-z])", lambda match: match.group(1).upper(), name)


def read_integer(kind, value):
    """64 bits come as a string or a number, fewer as a number."""
    if kind in ("int64", "fixed64") and isinstance(value, str) and re.fullmatch("-?(0|[1-9][0-9]*)", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(f"{value!r} as {kind}")
    least, most = (-1 << 63, 1 << 63) if kind == "int64" else (0, 1 << UNSIGNED[kind])
    if not least <= value < most:
        raise WireError(f"{value} as {kind}")
    return value


def read_bytes(name, value):
    """Ids come in hex, other bytes in base64."""
    try:
        return bytes.fromhex(value) if name.endswith("_id") else base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise WireError(f"{name} is {value!r}") from error


def read_scalar(name, kind, value):
    """A value by its kind."""
    if kind == "bytes":
        return read_bytes(name, value)
    if kind == "double" and (value in NOT_FINITE or type(value) in (int, float)):
        return float(value)
    if kind in ("string", "bool") and isinstance(value, {"string": str, "bool": bool}[kind]):
        return value
    if kind in UNSIGNED or kind == "int64":
        return read_integer(kind, value)
    raise WireError(f"{name} is {value!r}")


def decode(value, message, note):
    """A message as a dict, as otlp_wire.decode has it."""
    if not isinstance(value, dict):
        raise WireError(f"{value!r} as {message}")
    fields = {camel(name): (name, kind, repeated) for name, kind, repeated in MESSAGES[message].values()}
    out = {name: [] if repeated else INITIAL.get(kind) for name, kind, repeated in fields.values()}
    if message == "AnyValue":
        out = {}
    for key, content in value.items():
        if key not in fields:
            note(f"{message} has an unknown key {key!r}")
            continue
        name, kind, repeated = fields[key]
        if repeated and not isinstance(content, list):
            raise WireError(f"{message}.{key} is no list")
        contents = [read_scalar(name, kind, one) if kind in INITIAL else decode(one, kind, note)
                    for one in (content if repeated else [content])]
        out[name] = contents if repeated else contents[0]
    return out


def no_repeats(pairs):
    """An object whose keys are unique."""
    if len(pairs) != len(dict(pairs)):
        raise WireError("an object has a key twice")
    return dict(pairs)


def no_constant(text):
    """What Python reads and JSON doesn't have."""
    raise WireError(f"{text} is no JSON")


def read_request(body, message, note):
    """A request's body, or a file's line, decoded."""
    try:
        request = json.loads(body.decode(), object_pairs_hook=no_repeats, parse_constant=no_constant)
    except ValueError as error:
        raise WireError(str(error)) from error
    return decode(request, message, note)


def spans_of(body, note):
    """The spans of a request's body, or of a file's line, as otlp_wire.spans_of has them."""
    return spans_in(read_request(body, "Request", note), note)


def logs_of(body, note):
    """The log records likewise."""
    return logs_in(read_request(body, "LogsRequest", note), note)
