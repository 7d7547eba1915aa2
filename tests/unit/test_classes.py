"""Which classes an AMI account must read, and which it may."""

import pytest

from pbxlib import classes


@pytest.mark.parametrize(
    ("event", "kind"), [("Cdr", "cdr"), ("hangup", "call"), ("ContactStatus", "system")]
)
def test_an_event_has_a_class_however_it_is_spelt(event, kind):
    assert classes.class_of(event) == kind


def test_an_event_that_asterisk_does_not_document_has_none():
    assert classes.class_of("Hangupp") is None


def test_what_the_bridge_itself_needs_is_always_read():
    assert classes.needed([]) == ["system", "call"]
    assert classes.needed(["Cdr", "Hangup", "UserEvent"]) == ["system", "call", "cdr", "user"]


def test_the_classes_of_an_account_are_read_from_its_own_section(tmp_path):
    (tmp_path / "manager.conf").write_text(
        "[general]\nenabled = yes\n\n[other]\nread = all\n\n"
        "[salt]\nsecret = x\nread = system,call , cdr ; no more\nwrite = originate\n"
    )
    assert classes.granted("salt", str(tmp_path)) == {"system", "call", "cdr"}
    assert classes.granted("other", str(tmp_path)) == {"all"}


def test_an_account_that_is_kept_elsewhere_has_unknown_classes(tmp_path):
    assert classes.granted("salt", str(tmp_path)) is None
    (tmp_path / "manager_custom.conf").write_text("[salt](+)\nread => call\n")
    assert classes.granted("salt", str(tmp_path)) == {"call"}
