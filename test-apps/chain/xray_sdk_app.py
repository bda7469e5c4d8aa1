# SPDX-License-Identifier: Apache-2.0
"""The same application with X-Ray's SDK in it, as its users put it there."""

from aws_xray_sdk.core import patch, xray_recorder
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware

from app import app

xray_recorder.configure(service="sdk")
patch(["requests"])
XRayMiddleware(app, xray_recorder)
