#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The reference of settings, from the rows of both config.def, put into a template: of the man page (--man) or the manual
(--markdown)."""

import argparse
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
DEFINITIONS = ("exporters/agent/config.def", "preload/config.def")
HEADING = re.compile(r"^/\* (.+) \*/$", re.MULTILINE)
ROW = re.compile(r'^(SETTING|SETTING_ALSO)\((\w+),\s*(\w+),\s*(\w+),\s*((?:"(?:[^"\\]|\\.)*",?\s*)+)\)', re.MULTILINE)
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
UNITS = {"DURATION": "ms", "TIMEOUT": "ms; 0: no limit"}
# Not for users to set.
INTERNAL = {"SPANSHIM_SESSION"}


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


def headings(text):
    """Each heading with the text behind it; the first comment is the file's own."""
    parts = HEADING.split(text)
    return list(zip(parts[1::2], parts[2::2]))[1:]


def take_rows(text, known):
    """The settings of a text that are not known yet, with their other names."""
    settings, by_field = [], {}
    for kind, name, field, kind_of_value, texts in ROW.findall(text):
        if kind == "SETTING_ALSO":
            by_field[field]["also"].append(name)
            continue
        initial, values, meaning = columns(texts)
        row = {"name": name, "type": kind_of_value, "initial": initial, "values": values, "help": meaning, "also": []}
        by_field[field] = row
        if name not in known:
            settings.append(row)
            known.add(name)
    return settings


def groups():
    """Heading and settings, in order; headings of both files that are alike are one."""
    found, known = {}, set(INTERNAL)
    for definition in DEFINITIONS:
        for heading, text in headings((SOURCE / definition).read_text(encoding="utf-8")):
            found.setdefault(heading, []).extend(take_rows(text, known))
    return found


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
    """As a sentence begins, but for a value."""
    return text if re.match(r"(true|false)\b", text) else text[:1].upper() + text[1:]


def man_table():
    escape = lambda text: text.replace("\\", "\\e").replace("...", "\\&...")
    lines = []
    for heading, settings in groups().items():
        lines += [f".Ss {heading}", ".Bl -tag -width Ds"]
        for row in settings:
            lines += [f".It Ev {row['name']}", escape(capitalized(row["help"])) + "."]
            if sentence(row):
                lines.append(escape(sentence(row)))
        lines.append(".El")
    return "\n".join(lines)


def markdown_table():
    cell = lambda text: text.replace("|", "\\|")
    lines = []
    for heading, settings in groups().items():
        lines += ["", f"## {heading}", "", "| variable | meaning | type | default | values |", "| --- | --- | --- | --- | --- |"]
        for row in settings:
            meaning = capitalized(row["help"])
            if row["also"]:
                meaning += " (also " + ", ".join(f"`{name}`" for name in row["also"]) + ")"
            values = row["values"] + (f" {UNITS[row['type']]}" if row["type"] in UNITS else "")
            kind = row["type"].lower().replace("_", " ")
            lines.append("| " + " | ".join([f"`{row['name']}`", cell(meaning), kind, cell(row["initial"]), cell(values)]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--man", metavar="TEMPLATE", type=Path)
    form.add_argument("--markdown", metavar="TEMPLATE", type=Path)
    options = parser.parse_args()
    template, table = (options.man, man_table) if options.man else (options.markdown, markdown_table)
    sys.stdout.write(template.read_text(encoding="utf-8").replace("@SETTINGS@", table()))


main()
