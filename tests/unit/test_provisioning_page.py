"""docs/provisioning.md shows what is there, and its examples are what the lab applies."""

import re
from pathlib import Path

import pytest
import yaml

from pbxlib.settings import resolve

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs/provisioning.md").read_text()
EXAMPLES = sorted((REPO / "docs/examples").iterdir())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_linked_applied_in_the_lab_and_has_no_faults(path):
    assert f"(examples/{path.name})" in PAGE
    lab = (REPO / "tests/lab/test_provisioning.py").read_text()
    assert f'example("{path.stem}")' in lab
    resolve(yaml.safe_load(path.read_text())["asterisk"])


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((\w[^)#:]*)\)", PAGE):
        assert (REPO / "docs" / target).exists(), target


def test_every_snippet_is_yaml():
    for snippet in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        assert yaml.safe_load(snippet), snippet


def test_every_state_file_that_it_names_is_there():
    for name in re.findall(r"`asterisk-formula(\.\w+)`", PAGE):
        assert (REPO / f"asterisk-formula/{name[1:]}.sls").exists(), name
