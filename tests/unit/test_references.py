"""Names that nothing has are found in files, with their place, before Asterisk reads them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbxlib import faults, references
from pbxlib.confset import ConfSet

SOUND = {
    "pjsip.conf": """
[udp]
type = transport
[phone](!)
type = endpoint
context = inside
[101](phone)
auth = 101
aors = 101
transport = udp
[101]
type = auth
[101]
type = aor
[trunk](phone)
outbound_auth = 101
[trunk]
type = registration
transport = udp
outbound_auth = 101
endpoint = trunk
[trunk]
type = identify
endpoint = trunk
""",
    "queues.conf": """
[general]
[support]
member => PJSIP/101,0,Alice
member => Local/101@inside/n
context = inside
""",
    "extensions.conf": """
[general]
[globals]
WHERE = outside
[inside]
include => more
exten => _1XX,1,Dial(PJSIP/${EXTEN}&PJSIP/00${EXTEN}@trunk,20)
same => n(busy),Hangup()
exten => 600,1,GotoIf($["${X}"="a?b:c"]?inside,101,1:busy)
exten => 601,1,Gosub(more,s,1(a,b))
exten => 602,1,Queue(support,t)
exten => 603,1,Queue(${WHICH})
exten => 604,1,Goto(${WHERE},s,1)
exten => 605,1,Goto(busy)
exten => 605,hint,PJSIP/101
[more]
exten => s,1,Return()
exten => s,2,Return()
exten => t/101,1,Return()
exten => t,1,Return()
""",
}


def found(**changes):
    """Lines that are told of the sound configuration with a text in a file put for another."""
    texts = dict(SOUND)
    for file, (old, new) in changes.items():
        name = file.replace("_conf", ".conf")
        assert old in texts.get(name, "")
        texts[name] = texts.get(name, "").replace(old, new)
    confset = ConfSet(texts)
    return faults.told(references.faults(confset), confset, {}, texts)


def test_a_sound_configuration_has_no_fault():
    assert found() == []


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        (
            "pjsip_conf",
            "\nauth = 101",
            "\nauth = 102",
            "asterisk:config:pjsip.conf:101(phone):auth: there is no auth '102' "
            "(did you mean '101'?)",
        ),
        (
            "pjsip_conf",
            "aors = 101",
            "aors = 101,nope",
            "asterisk:config:pjsip.conf:101(phone):aors: there is no aor 'nope'",
        ),
        (
            "pjsip_conf",
            "aors = 101\ntransport = udp",
            "aors = 101\ntransport = upd",
            "asterisk:config:pjsip.conf:101(phone):transport: there is no transport 'upd' "
            "(did you mean 'udp'?)",
        ),
        (
            "pjsip_conf",
            "[trunk](phone)\noutbound_auth = 101",
            "[trunk](phone)\noutbound_auth = trunk",
            "asterisk:config:pjsip.conf:trunk(phone):outbound_auth: there is no auth 'trunk'",
        ),
        (
            "pjsip_conf",
            "type = identify\nendpoint = trunk",
            "type = identify\nendpoint = provider",
            "asterisk:config:pjsip.conf:trunk:endpoint: there is no endpoint 'provider'",
        ),
        (
            "pjsip_conf",
            "context = inside",
            "context = insied",
            "asterisk:config:pjsip.conf:phone(!):context: there is no context 'insied' "
            "(did you mean 'inside'?)",
        ),
        (
            "pjsip_conf",
            "[101](phone)",
            "[101](phnoe)",
            "asterisk:config:pjsip.conf:101(phnoe): [101]: there is no section phnoe above to "
            "inherit from (did you mean 'phone'?)",
        ),
        (
            "pjsip_conf",
            "[101]\ntype = aor",
            "[101]\ntype = aor\n[102]\ntype = aro",
            "asterisk:config:pjsip.conf:102:type: there is no type 'aro' of section "
            "(did you mean 'aor'?)",
        ),
        (
            "pjsip_conf",
            "[101]\ntype = aor",
            "[101]\ntype = aor\n[101]\ntype = aor",
            "asterisk:config:pjsip.conf:101: there is another section 101 with type = aor",
        ),
        (
            "queues_conf",
            "PJSIP/101",
            "PJSIP/202",
            "asterisk:config:queues.conf:support:member: PJSIP/202: there is no endpoint '202'",
        ),
        (
            "queues_conf",
            "101@inside",
            "101@nowhere",
            "asterisk:config:queues.conf:support:member: Local/101@nowhere/n: there is no "
            "context 'nowhere'",
        ),
        (
            "extensions_conf",
            "include => more",
            "include => mroe",
            "asterisk:config:extensions.conf:inside:include: there is no context 'mroe' "
            "(did you mean 'more'?)",
        ),
        (
            "extensions_conf",
            "?inside,101",
            "?nowhere,101",
            "asterisk:config:extensions.conf:inside:exten: 600,1,GotoIf: there is no context "
            "'nowhere'",
        ),
        (
            "extensions_conf",
            "Gosub(more",
            "Gosub(nowhere",
            "asterisk:config:extensions.conf:inside:exten: 601,1,Gosub: there is no context "
            "'nowhere'",
        ),
        (
            "extensions_conf",
            "Queue(support",
            "Queue(suport",
            "asterisk:config:extensions.conf:inside:exten: 602,1,Queue: queues.conf has no queue "
            "'suport' (did you mean 'support'?)",
        ),
        (
            "extensions_conf",
            "@trunk",
            "@trnk",
            "asterisk:config:extensions.conf:inside:exten: _1XX,1,Dial: PJSIP/00${EXTEN}@trnk",
        ),
        (
            "extensions_conf",
            "exten => s,2,Return()",
            "exten => s,1,Hangup()",
            "asterisk:config:extensions.conf:more:exten: s,1: the context has this extension and "
            "priority already",
        ),
        (
            "extensions_conf",
            "[more]",
            '#include "gone.conf"\n[more]',
            "asterisk:config:extensions.conf:inside: #include gone.conf: there is no such file",
        ),
    ],
)
def test_what_is_not_there_is_told_with_the_pillars_path(file, old, new, line):
    if "${EXTEN}@" in line:
        # With a variable in it the interface is left to Asterisk.
        assert found(**{file: (old, new)}) == []
        old, new, line = "00${EXTEN}@trunk", "007@trnk", line.replace("${EXTEN}", "7")
        line += ": there is no endpoint 'trnk' (did you mean 'trunk'?)"
    assert found(**{file: (old, new)}) == [line]


def test_a_priority_that_n_counts_to_is_repeated_too():
    lines = found(extensions_conf=("same => n(busy)", "same => n,NoOp()\nexten => _1XX,2"))
    assert lines == [
        "asterisk:config:extensions.conf:inside:exten: _1XX,2: the context has this extension and "
        "priority already"
    ]


def told(texts, files=None, pillar=None):
    confset = ConfSet(texts)
    return faults.told(references.faults(confset), confset, pillar or {}, files or texts)


def test_an_included_file_brings_what_its_includer_lacks():
    texts = {"pjsip.conf": "#include d/*.conf\n[101]\ntype = endpoint\nauth = 101\n"}
    assert told(texts) == ["asterisk:config:pjsip.conf:101:auth: there is no auth '101'"]
    assert told({**texts, "d/auth.conf": "[101]\ntype = auth\n"}) == []


def test_a_fault_of_a_file_that_is_not_ours_is_not_told():
    texts = {"pjsip.conf": "#include mine.conf\n", "mine.conf": "[1]\ntype=endpoint\nauth=2\n"}
    assert told(texts, {"pjsip.conf"}) == []
    assert told(texts, {"mine.conf"}) == ["asterisk:config:mine.conf:1:auth: there is no auth '2'"]


def test_a_file_that_includes_itself_ends():
    assert told({"pjsip.conf": "#include pjsip.conf\n"}) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sorcery.conf", "[res_pjsip]\nauth = realtime,ps_auths\n"),
        ("sorcery.conf", "[res_pjsip]\nauth/cache = memory_cache\nauth = config,pjsip.conf\n"),
        ("pjsip_wizard.conf", "[9]\ntype = wizard\n"),
    ],
)
def test_what_may_come_from_elsewhere_is_no_fault(file, text):
    pjsip = "[1]\ntype = endpoint\nauth = 9-iauth\n"
    assert told({"pjsip.conf": pjsip}) != []
    assert told({"pjsip.conf": pjsip, file: text}) == []


def test_without_a_dialplan_file_contexts_are_taken_on_trust():
    pjsip = {"pjsip.conf": "[1]\ntype = endpoint\ncontext = a\n"}
    assert told({**pjsip, "extensions.conf": ""}) != []
    assert told(pjsip) == []


def test_contexts_of_other_dialplan_languages_and_tables_are_known():
    plan = "[a]\ninclude => b\n"
    assert told({"extensions.conf": plan}) != []
    assert told({"extensions.conf": plan, "extensions.ael": "context b {\n}\n"}) == []
    assert told({"extensions.conf": plan, "extensions.lua": 'x = {\n["b"] = {\n}}\n'}) == []
    assert told({"extensions.conf": plan, "extconfig.conf": "[s]\nextensions = odbc,x\n"}) == []


def test_sections_that_the_formula_makes_have_the_paths_of_what_they_are_made_of():
    text = "[p](!)\n[7](p)\ntype=endpoint\nauth=x\n[7](p-auth)\n[p-registration](!)\n"
    text += "[7](p-registration)\ntype=registration\ntransport=y\n"
    assert told({"pjsip.conf": text}, pillar={"endpoints": {7: {"template": "p"}}}) == [
        "asterisk:endpoints:7:auth: [7]: there is no section p-auth above to inherit from",
        "asterisk:endpoints:7:auth: there is no auth 'x'",
        "asterisk:endpoints:7:registration:transport: there is no transport 'y'",
    ]


LINES = ["[a]", "[a](b)", "[b](!)", "#include x.conf", "type = endpoint", "member = PJSIP/"]
LINES += ["exten => 1,1,Goto(a,(b", "same => n", "exten => ,,", "x"]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["pjsip.conf", "queues.conf", "extensions.conf", "x.conf"]),
        st.lists(st.sampled_from(LINES) | st.text("[]()!#=>,;-\\{}$/@ab1", max_size=9)).map(
            "\n".join
        ),
    )
)
def test_any_text_is_looked_at_without_an_exception(texts):
    assert all(line.startswith("asterisk:config:") for line in told(texts))
