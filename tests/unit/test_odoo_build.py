"""The addons as they are built for older series of Odoo."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
_loader = SourceFileLoader("odoo_glue_build", str(REPO / "odoo_glue" / "build"))
_spec = spec_from_loader(_loader.name, _loader)
odoo_build = module_from_spec(_spec)
_loader.exec_module(odoo_build)


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Every series, built into a folder of the tests."""
    odoo_build.DIST = tmp_path_factory.mktemp("dist")
    for series in odoo_build.SERIES:
        odoo_build.build(series)
    return odoo_build.DIST


def texts(dist, series, pattern):
    return {path: path.read_text() for path in (dist / str(series)).rglob(pattern)}


each_series = pytest.mark.parametrize("series", odoo_build.SERIES)


@each_series
def test_what_is_built_parses(dist, series):
    for text in texts(dist, series, "*.py").values():
        ast.parse(text)
    for text in texts(dist, series, "*.xml").values():
        ElementTree.fromstring(text)


@each_series
def test_the_manifest_names_the_series_and_files_that_are_there(dist, series):
    for path, text in texts(dist, series, "__manifest__.py").items():
        manifest = ast.literal_eval(text)
        assert manifest["version"].startswith(f"{series}.0.")
        assert [name for name in manifest["data"] if not (path.parent / name).exists()] == []


@each_series
def test_no_name_of_a_newer_series_is_left(dist, series):
    newer = {
        r"models\.Constraint\b": 19,
        r"res\.groups\.privilege": 19,
        r"env\._\(": 18,
        r"<list\b": 18,
        r'invisible="not ': 17,
        r"\.flush_model\(": 16,
        r"\.invalidate_recordset\(": 16,
        r'"assets"': 16,
    }
    found = [
        (path.name, name)
        for path, text in {**texts(dist, series, "*.py"), **texts(dist, series, "*.xml")}.items()
        for name, since in newer.items()
        if series < since and re.search(name, text)
    ]
    assert found == []


def test_table_constraints_keep_their_names_and_words(dist):
    model = (dist / "18/asterisk_plus/models/user.py").read_text()
    assert re.findall(r'\("(\w+)", "unique', model) == [
        "user_unique", "exten_unique", "channel_unique",
    ]  # fmt: skip


def test_there_is_no_route_that_needs_no_login(dist):
    found = texts(dist, 18, "*.py").values()
    assert [text for text in found if re.search(r"@(http\.)?route\b|http\.Controller", text)] == []


def test_caches_of_tools_are_not_taken_over(dist):
    assert [path for path in dist.rglob("*") if path.name.startswith((".", "__pycache__"))] == []
