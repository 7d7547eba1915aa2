"""pillar.example shows every setting, and its values are the defaults."""

import re
from pathlib import Path

import pytest
import yaml

from pbxlib.settings import SCHEMA, resolve

TEXT = (Path(__file__).resolve().parents[2] / "pillar.example").read_text()
EXAMPLE = yaml.safe_load(TEXT)["asterisk"]
# Examples of a person's own, where a default would show nothing.
SHOWN = {"odoo:url", "odoo:database", "odoo:login", "odoo:api_key"}


def leaves(schema, path=""):
    for key, spec in schema.items():
        if isinstance(spec, dict):
            yield from leaves(spec, f"{path}{key}:")
        else:
            yield f"{path}{key}", spec


@pytest.mark.parametrize("path", [path for path, _ in leaves(SCHEMA) if path != "events_serial"])
def test_it_shows(path):
    name = path.rsplit(":", 1)[-1]
    assert re.search(rf"^[ #]*{name}:", TEXT, re.MULTILINE), path


def test_it_has_no_faults():
    resolve(EXAMPLE)


@pytest.mark.parametrize("section", ["ami", "odoo", "outbox", "console"])
def test_its_values_are_the_defaults(section):
    defaults, shown = resolve(None)[section], resolve(EXAMPLE)[section]
    for key, value in EXAMPLE[section].items():
        # None: the formula's own default, which defaults.yaml has.
        if value is not None and defaults[key] is not None and f"{section}:{key}" not in SHOWN:
            assert shown[key] == defaults[key], f"{section}:{key}"
