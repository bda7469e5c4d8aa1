# SPDX-License-Identifier: Apache-2.0
"""AWS's Signature Version 4 as a receiver checks it: an implementation of its own, beside the agent's."""

import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

SKEW_S = 300
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                           r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})")


def encoded(text):
    """One part of a query, decoded and encoded again."""
    return urllib.parse.quote(urllib.parse.unquote_to_bytes(text), safe="-._~")


def canonical(method, target, headers, names, body):
    """The request as both sides are to see it."""
    path, _, query = target.partition("?")
    pairs = sorted(tuple(encoded(part) for part in parameter.partition("=")[::2]) for parameter in query.split("&") if parameter)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    return "\n".join([method, urllib.parse.quote(path, safe="/-._~"), "&".join("=".join(pair) for pair in pairs), *lines, "",
                      ";".join(names), hashlib.sha256(body).hexdigest()])


def signature(secret, when, region, service, request):
    """What the request is signed with."""
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (when[:8], region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class Refused(Exception):
    """What AWS answers: status and name of the error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def check(method, target, headers, body, keys, region, ahead_s=0, service="xray"):
    """Raise Refused unless the request is signed by one of the keys: id -> (secret, token or None). ahead_s: of the clock."""
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    key_id, day, its_region, its_service, names, given = found.groups()
    names = names.split(";")
    when = headers.get("x-amz-date", "")
    if key_id not in keys:
        raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    secret, token = keys[key_id]
    if headers.get("x-amz-security-token") != token:
        raise Refused(403, "ExpiredTokenException", "The security token included in the request is expired")
    if names != sorted(names) or not {"host", "x-amz-date", *(name for name in headers if name.startswith("x-amz-"))} <= set(names):
        raise Refused(403, "IncompleteSignatureException", f"signed headers: {names}")
    sent = calendar.timegm(time.strptime(when, "%Y%m%dT%H%M%SZ"))
    if abs(sent - time.time() - ahead_s) > SKEW_S:
        raise Refused(403, "InvalidSignatureException", f"Signature expired: {when} is not within 5 minutes")
    if when[:8] != day or (its_region, its_service) != (region, service):
        raise Refused(403, "InvalidSignatureException", f"Credential should be scoped to {region}/{service}")
    if signature(secret, when, region, service, canonical(method, target, headers, names, body)) != given:
        raise Refused(403, "InvalidSignatureException", "The request signature we calculated does not match")
