"""Of what asterisklint says, jumps to nowhere are faults, at the line where they were written."""

import pytest

from pbxlib import faults, jumps
from pbxlib.confset import ConfSet

PLAN = """\
[general]
static = yes
[jumps](!)
exten = 1,1,Goto(200,1)
[inside](jumps)
exten = 2,1,Goto(nowhere,s,1)
exten = 3,1,Goto(gone)
same = n,Hangup
"""
# As asterisklint 0.4.3 says it of PLAN in its own style, which this would print if it were it.
LINT = """\
#!/bin/sh
grep -qx 'exten => 3,1,Goto(gone)' "$2" || exit 2
cat >&2 <<END
$2:8 W_APP_NEED_PARENS: app 'Hangup' should have parentheses (only NoOp is exempt)
$2:6 E_DP_GOTO_NOCONTEXT: context not found for goto to nowhere, s, 1
$2:5 W_DP_GOTO_CONTEXT_NOEXTEN: possibly non-existent extension/pattern for goto to inside, 200, 1
$2:7 E_DP_GOTO_NOLABEL: label not found anywhere for goto to inside, 3, gone
END
exit 1
"""


@pytest.fixture
def lint(tmp_path):
    program = tmp_path / "asterisklint"
    program.write_text(LINT)
    program.chmod(0o755)
    return str(program)


def told(lint, plan):
    confset = ConfSet({"extensions.conf": plan})
    return faults.told(jumps.faults(confset, lint), confset, {})


def test_a_jump_is_told_where_it_was_written_and_style_is_not(lint):
    assert told(lint, PLAN) == [
        "asterisk:config:extensions.conf:jumps(!):exten: it jumps to inside,200,1, and nothing is "
        "there",
        "asterisk:config:extensions.conf:inside(jumps):exten: it jumps to inside,3,gone, and "
        "nothing is there",
    ]


def test_what_a_switch_may_know_is_taken_on_trust(lint):
    assert told(lint, PLAN + "switch = Realtime/elsewhere@extensions\n") == []


def test_a_tool_that_fails_tells_of_no_fault(lint):
    assert told(lint, "[inside]\n") == []
    assert told(lint + "-gone", PLAN) == []
