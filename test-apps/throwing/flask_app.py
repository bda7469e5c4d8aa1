# SPDX-License-Identifier: Apache-2.0
"""A Flask application that throws, for a reason."""

from flask import Flask

app = Flask(__name__)


class PriceError(Exception):
    """No price is known."""


def load(key):
    """The price, or a KeyError."""
    return {"a": "1"}[key]


@app.route("/price/<key>")
def price(key):
    """200 for a, 500 for all others."""
    try:
        return load(key)
    except KeyError as error:
        raise PriceError(f"no price of {key}") from error
