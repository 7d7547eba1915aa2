"""Asterisk's .conf files: what Asterisk reads in them, and edits that lose nothing."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pbxlib.conf import Conf
from pbxlib.errors import ConfError

PHONES = """\
; Our phones. Ask Ada before you change them.
[phone](!)          ; what they have in common
type=endpoint
disallow = all
allow => ulaw
allow => alaw       ; for Europe

;-- 101 was Grace's
[101](phone)
callerid = Grace <101>
--;
[101](phone)
callerid = Ada \\; Lovelace <101>   ; the first one
[101]
type = auth
password = x\\;y
[102](phone)

; Written by hand, leave it.
[101](+type=auth)
username = 101
#include "more.conf"
"""

# What makes and breaks comments, sections and settings, in any order.
scraps = st.sampled_from([";", "--", "\\", "-", "=", ">", "+", "[", "]", "(", ")", "!", "a", "é"])
lines = st.one_of(
    st.sampled_from(
        ["[a]", "[b]", "[b](a)", "[a](+)", "a = 1", "b=2;x", "type => a", ";--", "--;"]
    ),
    st.lists(st.one_of(scraps, st.sampled_from(" \t\r")), max_size=12).map("".join),
)
texts = st.lists(st.tuples(lines, st.sampled_from(["\n", "\n", "\n", "\r\n", ""]))).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)
values = st.text(alphabet="ab;-\\=>+[]()#é \t", max_size=8)


@given(texts)
def test_a_text_that_is_not_edited_stays_as_it_is(text):
    assert str(Conf(text)) == text


@given(texts, st.sampled_from("ab"), st.sampled_from("abc"), st.lists(values, max_size=3))
def test_what_is_set_is_read_and_nothing_else_is_touched(text, name, key, given):
    conf = Conf(text)
    before, faults = others(conf, name, key), {fault.text for fault in conf.faults}
    try:
        conf.set(name, key, given)
    except ConfError:
        assume(False)
    found = [value for part in conf.find(name) for value in part.values(key)]
    assert found == [value.strip() for value in given]
    assert others(conf, name, key) == before
    assert {fault.text for fault in conf.faults} <= faults
    assert conf.set(name, key, given) is False


@given(texts, st.sampled_from("ab"), st.sampled_from([None, "a", "b"]))
def test_what_is_removed_is_gone_and_nothing_else_is_touched(text, name, key):
    conf = Conf(text)
    lines = {part.line for part in conf.find(name)}
    kept = [s for s in conf.sections if s.line not in lines]
    before, faults = others(conf, name, key), {fault.text for fault in conf.faults}
    try:
        conf.remove(name, key)
    except ConfError:
        assume(False)
    if key is None:
        assert [(s.name, s.options) for s in conf.sections] == [(s.name, s.options) for s in kept]
    else:
        assert [value for part in conf.find(name) for value in part.values(key)] == []
        assert others(conf, name, key) == before
    assert {fault.text for fault in conf.faults} <= faults


def others(conf, name, key):
    """All settings of a text but those of one key in one section: section, key, value, form."""
    lines = {part.line for part in conf.find(name)}
    return [
        (section.name, s.key, s.value, s.separator)
        for section in conf.sections
        for s in section.settings
        if section.line not in lines or s.key != key
    ]


def test_sections_inherit_and_are_added_to_as_in_asterisk():
    template, endpoint, auth, other = Conf(PHONES).effective()

    assert (template.template, template.get("TYPE")) == (True, "endpoint")
    assert endpoint.parents == ("phone",)
    assert endpoint.values("allow") == ["ulaw", "alaw"]
    assert endpoint.get("callerid") == "Ada ; Lovelace <101>"
    assert (auth.get("password"), auth.get("username")) == ("x;y", "101")
    assert [s.line for s in auth.settings] == [15, 16, 21]
    assert other.values("allow") == ["ulaw", "alaw"]


def test_directives_are_told_with_their_line_and_section():
    conf = Conf('#include <a/*.conf>\n[x]\n#tryinclude b.conf ; maybe\n#exec "/bin/c d"\n')
    assert [(d.word, d.argument, d.line, d.section) for d in conf.directives] == [
        ("include", "a/*.conf", 1, None),
        ("tryinclude", "b.conf", 3, "x"),
        ("exec", "/bin/c d", 4, "x"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said", "fatal"),
    [
        ("a = b\n", 1, "before the first section", True),
        ("[a]\n\n[b\n", 3, "no closing ]", True),
        ("[a](b\n", 1, "no closing )", True),
        ("[a]\n\\ b = c\n", 2, "no ASCII character after the \\", True),
        ("[a]\n\\é = c\n", 2, "no ASCII character", True),
        ("[a]\njust words\n", 2, "no = sign", False),
        ("[a]\n = x\n", 2, "nothing before the =", False),
        ("[a]\n#inclde x\n", 2, "no directive #inclde", False),
        ("[a]\n#include\n", 2, "no argument", False),
        ("[a]\n;-- open\nb = c\n", 2, "has no end", False),
        ("[a]\nb = c --; d\n", 2, "no ;-- began", True),
        ("[a]\nb = " + "x" * 9000 + "\n", 2, "too long", False),
    ],
)
def test_what_asterisk_would_not_read_is_told_with_its_line(text, line, said, fatal):
    (fault,) = Conf(text).faults
    assert (fault.line, fault.fatal) == (line, fatal)
    assert said in fault.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](b)\n", "no section b above"),
        ("[a](b)\n[b]\n", "no section b above"),
        ("[a](+)\n", "to add to"),
        ("[a](!)\n[a](+)\n", "to add to"),
    ],
)
def test_a_section_that_is_not_above_is_told(text, said):
    (fault,) = Conf(text).unresolved()
    assert said in fault.text


def test_values_are_appended_with_the_blanks_before_them():
    section = Conf("[a]\nx = 1\nx += 2\nx +=3 ; c\ny += 4\n").sections[0]
    assert (section.values("x"), section.values("y")) == (["1 23"], ["4"])
    # As Asterisk does it, which looks for the value.
    assert Conf("[a]\nx = 1\nx = 1\nx += 2\n").sections[0].values("x") == ["1 2", "1"]


def test_a_changed_line_keeps_its_form_and_comment():
    conf = Conf(PHONES)
    assert conf.set("phone", "type", ["aor"])
    assert conf.set("101(phone)", "callerid", ["Ada <101>"])
    assert str(conf) == PHONES.replace("type=endpoint", "type=aor").replace(
        "Ada \\; Lovelace <101>   ; the first", "Ada <101>   ; the first"
    )


def test_new_lines_come_after_the_last_of_their_key_or_section():
    conf = Conf(PHONES)
    conf.set("phone", "allow", ["ulaw", "alaw", "g722"])
    conf.set("phone", "dtmf_mode", ["info"])
    assert "alaw       ; for Europe\nallow => g722\ndtmf_mode = info\n\n;-- 101" in str(conf)


def test_the_type_tells_sections_of_one_name_apart():
    conf = Conf(PHONES)
    conf.set("101", "username", ["ada"], type_="auth")
    conf.set("101", "max_contacts", ["2"], type_="aor")
    assert str(conf) == PHONES.replace("username = 101", "username = ada") + (
        "\n[101]\ntype = aor\nmax_contacts = 2\n"
    )


def test_a_removed_section_leaves_what_is_written_above_and_below():
    conf = Conf(PHONES)
    conf.remove("101", type_="auth")
    text = PHONES.replace("[101]\ntype = auth\npassword = x\\;y\n", "")
    assert str(conf) == text.replace(
        '[101](+type=auth)\nusername = 101\n#include "more.conf"\n', ""
    )


def test_a_file_of_other_line_ends_and_without_a_last_one_is_kept_so():
    conf = Conf("[a]\r\nb = c")
    conf.set("a", "d", ["e"])
    assert str(conf) == "[a]\r\nb = c\r\nd = e\r\n"


@pytest.mark.parametrize("section", ["", "a]", "a\nb", "a;b", "a(b", "a(b)c"])
def test_what_cannot_name_a_section_is_refused(section):
    with pytest.raises(ConfError):
        Conf("").set(section, "key", ["value"])


@pytest.mark.parametrize("key", ["", " ", "a=b", "#exec x", "[a", "a\nb"])
def test_what_cannot_be_a_key_is_refused(key):
    with pytest.raises(ConfError):
        Conf("").set("a", key, ["value"])


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "x" * 9000])
def test_what_a_line_cannot_hold_is_refused_without_telling_it(value):
    conf = Conf("[a]\n")
    with pytest.raises(ConfError) as error:
        conf.set("a", "key", [value])
    assert value not in str(error.value)
    assert str(conf) == "[a]\n"
