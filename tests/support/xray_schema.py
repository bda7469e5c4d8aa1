# SPDX-License-Identifier: Apache-2.0
"""The documented schema of X-Ray's segment documents, as tables of fields:

    problems_of(document)    # what is wrong with it: texts like "http.request.url: 251 characters, at most 250"; []: nothing
    read_document(data)      # the same of bytes: the document, or None, and what is wrong

Strict where the documentation is: a key that no table has is an error. Two things that are allowed are what SDKs write:
in_progress false beside an end_time, and trace_id, parent_id and type in embedded subsegments, if they are the true ones."""

import json
import math
import re
import unicodedata

DOCUMENT_MAX = 64 << 10
NAME_MAX = 200
NAME_MARKS = "_.:/%&#=+-@"
REQUEST_TEXT_MAX = 250
ANNOTATIONS_MAX = 50
ORIGINS = ("AWS::EC2::Instance", "AWS::ECS::Container", "AWS::ECS::EC2", "AWS::ECS::Fargate", "AWS::EKS::Container",
           "AWS::ElasticBeanstalk::Environment", "AWS::AppRunner::Service")

# What follows makes rules. A rule is a function of (value, where, problems) that appends what is wrong to problems.


def text(most=None, pattern=None, least=1):
    """A string of so many characters that fits the pattern."""

    def rule(value, where, problems):
        if not isinstance(value, str):
            problems.append(f"{where}: {value!r} is no string")
        elif len(value) < least or most is not None and len(value) > most:
            problems.append(f"{where}: {len(value)} characters, at least {least}, at most {most}")
        elif pattern and not re.fullmatch(pattern, value):
            problems.append(f"{where}: {value!r} is not like {pattern}")

    return rule


def one_of(*values):
    """One of these, of the same type."""

    def rule(value, where, problems):
        if not any(type(value) is type(one) and value == one for one in values):
            problems.append(f"{where}: {value!r} is none of {values}")

    return rule


def number(value, where, problems):
    """A finite number, not below zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        problems.append(f"{where}: {value!r} is no number from 0 on")


def integer(value, where, problems):
    """A whole number, not below zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        problems.append(f"{where}: {value!r} is no whole number from 0 on")


def boolean(value, where, problems):
    """true or false."""
    if not isinstance(value, bool):
        problems.append(f"{where}: {value!r} is neither true nor false")


def list_of(rule, least=1):
    """An array of what the rule is for."""

    def check(value, where, problems):
        if not isinstance(value, list) or len(value) < least:
            problems.append(f"{where}: no array of at least {least}")
            return
        for index, one in enumerate(value):
            rule(one, f"{where}[{index}]", problems)

    return check


def fields(table, required=(), others=None):
    """An object of these fields; `others` is the rule of all that the table doesn't name, None: there may be none."""

    def rule(value, where, problems):
        if not isinstance(value, dict) or not value:
            problems.append(f"{where or 'document'}: no object with something in it")
            return
        for name in required:
            if name not in value:
                problems.append(f"{_at(where, name)}: missing")
        for name, one in value.items():
            known = table.get(name, others)
            if known:
                known(one, _at(where, name), problems)
            else:
                problems.append(f"{_at(where, name)}: not in the schema")

    return rule


def segment_name(value, where, problems):
    """A segment's name: letters, numbers and spaces of any language, and a few marks."""
    text(NAME_MAX)(value, where, problems)
    wrong = {one for one in value if one not in NAME_MARKS and unicodedata.category(one)[0] not in "LNZ"} \
        if isinstance(value, str) else set()
    if wrong:
        problems.append(f"{where}: {value!r} has {sorted(wrong)}")


def annotations(value, where, problems):
    """A flat object."""
    if not isinstance(value, dict) or not 0 < len(value) <= ANNOTATIONS_MAX:
        problems.append(f"{where}: no object of 1 to {ANNOTATIONS_MAX} annotations")
        return
    for name, one in value.items():
        if not re.fullmatch("[A-Za-z0-9_]{1,500}", name):
            problems.append(f"{where}: key {name!r}")
        if isinstance(one, str):
            text(1000, least=0)(one, _at(where, name), problems)
        elif isinstance(one, float) and not math.isfinite(one) or not isinstance(one, (bool, int, float)):
            problems.append(f"{_at(where, name)}: {one!r} is no string, number or boolean")


def metadata(value, where, problems):
    """Namespaces, each an object of anything."""
    if not isinstance(value, dict) or not value:
        problems.append(f"{where}: no object with something in it")
        return
    for name, one in value.items():
        if name.startswith("AWS."):
            problems.append(f"{where}: namespace {name!r} is reserved")
        if not isinstance(one, dict):
            problems.append(f"{_at(where, name)}: no object")


def cause(value, where, problems):
    """An exception that is told elsewhere, or the exceptions."""
    if isinstance(value, str):
        HEX_16(value, where, problems)
    else:
        CAUSE(value, where, problems)


def anything(_value, _where, _problems):
    """Nothing is wrong with it."""


def _subsegments(value, where, problems):
    list_of(SUBSEGMENT)(value, where, problems)


def _at(where, name):
    return f"{where}.{name}" if where else name


HEX_16 = text(16, "[0-9a-f]{16}")
TRACE_ID = text(35, "1-[0-9a-f]{8}-[0-9a-f]{24}")
TEXT = text()
REQUEST_TEXT = text(REQUEST_TEXT_MAX)

CAUSE = fields({
    "working_directory": TEXT,
    "paths": list_of(TEXT),
    "exceptions": list_of(fields({
        "id": HEX_16,
        "message": text(least=0),
        "type": TEXT,
        "remote": boolean,
        "truncated": integer,
        "skipped": integer,
        "cause": HEX_16,
        "stack": list_of(fields({"path": TEXT, "line": integer, "label": TEXT})),
    }, required=["id"])),
})

RESPONSE = fields({"status": integer, "content_length": integer})
REQUEST = {"method": REQUEST_TEXT, "url": REQUEST_TEXT, "user_agent": REQUEST_TEXT, "client_ip": REQUEST_TEXT}

# Of segments and subsegments.
BOTH = {
    "id": HEX_16,
    "trace_id": TRACE_ID,
    "parent_id": HEX_16,
    "start_time": number,
    "end_time": number,
    "in_progress": boolean,
    "subsegments": _subsegments,
    "error": boolean,
    "throttle": boolean,
    "fault": boolean,
    "cause": cause,
    "annotations": annotations,
    "metadata": metadata,
}

SEGMENT = fields({
    **BOTH,
    "name": segment_name,
    "service": fields({"version": TEXT, "runtime": TEXT, "runtime_version": TEXT, "compiler": TEXT, "compiler_version": TEXT}),
    "user": text(250),
    "origin": one_of(*ORIGINS),
    "resource_arn": TEXT,
    "http": fields({"request": fields({**REQUEST, "x_forwarded_for": boolean}), "response": RESPONSE}),
    "aws": fields({
        "account_id": TEXT,
        "cloudwatch_logs": list_of(fields({"log_group": TEXT, "arn": TEXT})),
        "ec2": fields({"instance_id": TEXT, "instance_size": TEXT, "ami_id": TEXT, "availability_zone": TEXT}),
        "ecs": fields({"container": TEXT, "container_id": TEXT, "container_arn": TEXT}, others=TEXT),
        "eks": fields({"pod": TEXT, "cluster_name": TEXT, "container_id": TEXT}),
        "elastic_beanstalk": fields({"environment_name": TEXT, "version_label": TEXT, "deployment_id": integer}),
        "xray": fields({"sdk": TEXT, "sdk_version": TEXT, "auto_instrumentation": boolean, "sampling_rule_name": text(32)}),
    }),
    "links": list_of(fields({"trace_id": TRACE_ID, "id": HEX_16,
                             "attributes": fields({"aws.xray.reserved.reference_type": one_of("parent", "child")}, others=anything)},
                            required=["trace_id", "id"])),
}, required=["name", "id", "trace_id", "start_time"])

SUBSEGMENT = fields({
    **BOTH,
    "name": text(NAME_MAX),
    "type": one_of("subsegment"),
    "namespace": one_of("aws", "remote", "local"),
    "precursor_ids": list_of(HEX_16),
    "http": fields({"request": fields({**REQUEST, "traced": boolean}), "response": RESPONSE}),
    "aws": fields({"operation": TEXT, "account_id": TEXT, "region": TEXT, "request_id": TEXT, "queue_url": TEXT,
                   "table_name": TEXT, "resource_names": list_of(TEXT), "retries": integer}),
    "sql": fields({"connection_string": TEXT, "url": TEXT, "sanitized_query": TEXT, "database_type": TEXT,
                   "database_version": TEXT, "driver_version": TEXT, "user": TEXT,
                   "preparation": one_of("call", "statement")}),
}, required=["name", "id", "start_time"])


def is_lone(document):
    """Is it a subsegment that was sent on its own?"""
    return document.get("type") == "subsegment"


def problems_of(document):
    """What is wrong with a document, one text each."""
    problems = []
    if not isinstance(document, dict):
        return ["document: no object"]
    if is_lone(document):
        SUBSEGMENT(document, "", problems)
        problems += [f"{name}: missing in a lone subsegment" for name in ("trace_id", "parent_id") if name not in document]
    else:
        SEGMENT(document, "", problems)
    if not problems:  # what is related has the right types then
        _check_relations(document, "", problems, document["trace_id"], set())
    return problems


def _check_relations(node, where, problems, trace_id, ids):
    if node["id"] in ids:
        problems.append(f"{_at(where, 'id')}: {node['id']} comes twice")
    ids.add(node["id"])
    is_open = node.get("in_progress", False)
    if is_open == ("end_time" in node):
        problems.append(f"{_at(where, 'end_time')}: neither it nor in_progress true, or both")
    if node.get("end_time", math.inf) < node["start_time"]:
        problems.append(f"{_at(where, 'end_time')}: before the start")
    if node.get("parent_id") == node["id"]:
        problems.append(f"{_at(where, 'parent_id')}: it is its own parent")
    for index, child in enumerate(node.get("subsegments", [])):
        here = f"{_at(where, 'subsegments')}[{index}]"
        if child.get("parent_id", node["id"]) != node["id"]:
            problems.append(f"{here}.parent_id: not of what it is in")
        if child.get("trace_id", trace_id) != trace_id:
            problems.append(f"{here}.trace_id: not of what it is in")
        _check_relations(child, here, problems, trace_id, ids)


def _object(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a key comes twice: {names}")
    return dict(pairs)


def _constant(word):
    raise ValueError(f"{word} is no JSON")


def read_document(data):
    """A document as bytes, which have to be UTF-8 and exactly one JSON object: (document or None, problems)."""
    if len(data) > DOCUMENT_MAX:
        return None, [f"document: {len(data)} bytes"]
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    except ValueError as error:
        return None, [f"document: no JSON in UTF-8: {error}"]
    return document, problems_of(document)
