#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The settings' table from the rows of config.def: for the man page (--man TEMPLATE) or the manual (--markdown)."""

import argparse
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
DEFINITIONS = ("exporters/agent/config.def", "preload/config.def")
ROW = re.compile(r'^(SETTING|SETTING_ALSO)\((\w+),\s*(\w+),\s*(\w+),\s*((?:"(?:[^"\\]|\\.)*",?\s*)+)\)', re.MULTILINE)
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
UNITS = {"DURATION": "ms", "TIMEOUT": "ms; 0: no limit"}
# Said by the templates in their own words, or not for users to set.
INTERNAL = {"SPANSHIM_SESSION", "NO_COLOR"}


def columns(text):
    """The three texts of a row; neighbouring literals of one text are joined as C does."""
    parts, current = [], []
    for piece in re.finditer(TEXT.pattern + r"\s*(,?)", text):
        current.append(piece.group(1))
        if piece.group(2):
            parts.append("".join(current))
            current = []
    parts.append("".join(current))
    return parts


def rows():
    """Each setting once, in order, with its other names."""
    settings, by_field = {}, {}
    for definition in DEFINITIONS:
        by_field.clear()
        for kind, name, field, kind_of_value, texts in ROW.findall((SOURCE / definition).read_text(encoding="utf-8")):
            initial, values, meaning = columns(texts)
            if kind == "SETTING_ALSO":
                by_field[field]["also"].append(name)
            elif name not in INTERNAL and name not in settings:
                row = {"name": name, "type": kind_of_value, "initial": initial, "values": values, "help": meaning, "also": []}
                settings[name] = by_field[field] = row
            else:
                by_field.setdefault(field, {"also": []})
    return list(settings.values())


def sentence(row):
    """What a reader wants to know behind the meaning."""
    parts = []
    if row["values"]:
        unit = UNITS.get(row["type"])
        parts.append("Values: " + row["values"].replace("|", ", ") + (f" ({unit})" if unit else "") + ".")
    if row["initial"]:
        parts.append(f"Default: {row['initial']}.")
    if row["also"]:
        parts.append("Also: " + ", ".join(row["also"]) + ".")
    return " ".join(parts)


def capitalized(text):
    return text if text.startswith("true:") else text[:1].upper() + text[1:]


def man_table():
    escape = lambda text: text.replace("\\", "\\e").replace("...", "\\&...")
    lines = []
    for row in rows():
        lines += [f".It Ev {row['name']}", escape(capitalized(row["help"])) + "."]
        if sentence(row):
            lines.append(escape(sentence(row)))
    return "\n".join(lines)


def markdown_table():
    cell = lambda text: text.replace("|", "\\|")
    lines = ["# Settings", "", "Environment variables of the traced program. From the rows of `exporters/agent/config.def` and",
             "`preload/config.def`, by `docs/settings.py --markdown`.", "", "| variable | meaning | default | values |",
             "| --- | --- | --- | --- |"]
    for row in rows():
        meaning = capitalized(row["help"]) + (" (also " + ", ".join(f"`{name}`" for name in row["also"]) + ")" if row["also"] else "")
        values = row["values"] + (f" {UNITS[row['type']]}" if row["type"] in UNITS else "")
        lines.append("| " + " | ".join([f"`{row['name']}`", cell(meaning), cell(row["initial"]), cell(values)]) + " |")
    lines += ["", "Settings of the launcher alone: `SPANSHIM_INIT_TIMEOUT` (milliseconds that delivery may take at the end as process 1",
              "or with `--init`; 5000), `NO_COLOR`."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--man", metavar="TEMPLATE", type=Path)
    form.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.markdown:
        print(markdown_table())
    else:
        sys.stdout.write(options.man.read_text(encoding="utf-8").replace("@SETTINGS@", man_table()))


main()
