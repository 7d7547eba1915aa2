"""What a starting Asterisk says becomes faults with a place; what is nobody's fault does not."""

import pytest

from pbxlib import faults, messages
from pbxlib.confset import ConfSet

TEXTS = {
    "pjsip.conf": """\
[phone](!)
type = endpoint
dtmf_mod = rfc4733
[101](phone)
allow = ulax
[102]
type = auth
md5_cred = hush
[bob]
type = aor
[tls]
type = transport
bind = 192.0.2.9:5061
""",
    "queues.conf": "[support]\nstrategy = ringal\ntimeot = 5\n",
    "cdr.conf": "[general]\nnosuch = 1\n",
    "rtp.conf": "[general]\nrtpstart = 20\n",
}
# Said by Asterisk 22.10.1; 16.28 has the same words.
STARTS = "[Nov 23 04:35:40] ERROR[1887]: "
OPTION = (
    STARTS + "config_options.c:798 aco_process_var: Could not find option suitable for category "
    "'101' named 'dtmf_mod' at line 3 of \n"
    + STARTS
    + "res_sorcery_config.c:422 sorcery_config_internal_load: Could not create an object of type "
    "'endpoint' with id '101' from configuration file 'pjsip.conf'\n"
)
SECRET = (
    STARTS
    + "config_options.c:802 aco_process_var: Error parsing md5_cred=hush at line 8 of \n"
    + STARTS
    + "res_sorcery_config.c:422 sorcery_config_internal_load: Could not create an object of type "
    "'auth' with id '102' from configuration file 'pjsip.conf'\n"
)
FORMAT = (
    STARTS.replace("ERROR", "WARNING")
    + "format_cap.c:150 update_by_allow_disallow: Cannot allow unknown format 'ulax'\n"
    + STARTS
    + "config_options.c:802 aco_process_var: Error parsing allow=ulax at line 5 of \n"
    + STARTS
    + "res_sorcery_config.c:422 sorcery_config_internal_load: Could not create an object of type "
    "'endpoint' with id '101' from configuration file 'pjsip.conf'\n"
)
PROCESSED = (
    STARTS + "config_options.c:798 aco_process_var: Could not find option suitable for category "
    "'general' named 'nosuch' at line 2 of \n"
    + STARTS
    + "config_options.c:690 aco_process_config: In cdr.conf: Processing options for general "
    "failed\n"
)
KEYWORD = (
    STARTS.replace("ERROR", "WARNING")
    + "app_queue.c:3730 queue_set_param: Unknown keyword in queue 'support': timeot at line 3 of "
    "queues.conf\n"
)
STRATEGY = (
    STARTS.replace("ERROR", "WARNING") + "app_queue.c:3650 queue_set_param: 'ringal' isn't a valid "
    "strategy for queue 'support', using ringall instead\n"
)
FILE = (
    STARTS
    + "res_rtp_asterisk.c:9900 rtp_reload: Unreasonable values for RTP start/end port in rtp.conf\n"
)
ADDRESS = (
    STARTS + "res_pjsip/config_transport.c:1006 transport_apply: Transport 'tls' could not be "
    "started: Cannot assign requested address\n"
    + STARTS
    + "res_sorcery_config.c:422 sorcery_config_internal_load: Could not create an object of type "
    "'transport' with id 'tls' from configuration file 'pjsip.conf'\n"
)
NOISE = (
    "Asterisk Ready.\n"
    + STARTS + "loader.c:2687 load_modules: cdr_csv declined to load.\n"
    + STARTS + 'netsock2.c:257 ast_sockaddr_resolve: getaddrinfo("sip.example.com", "(null)", '
    "...): Temporary failure in name resolution\n"
    + STARTS + "res_musiconhold.c:2333 load_module: No music on hold classes configured, "
    "disabling music on hold.\n"
)  # fmt: skip


def told(console, before=""):
    confset = ConfSet(TEXTS)
    new = messages.new(messages.said(console, "/run/x/etc"), messages.said(before, "/run/y/etc"))
    found = messages.faults(new, confset, TEXTS)
    return faults.told(found, confset, {"endpoints": {"102": {"template": "x"}}})


@pytest.mark.parametrize(
    ("console", "line"),
    [
        (
            OPTION,
            "asterisk:config:pjsip.conf:phone(!):dtmf_mod: Could not find option suitable for "
            "category '101' named 'dtmf_mod'",
        ),
        (SECRET, "asterisk:config:pjsip.conf:102:md5_cred: Error parsing md5_cred=…"),
        (
            FORMAT,
            "asterisk:config:pjsip.conf:101(phone):allow: Cannot allow unknown format 'ulax'; "
            "Error parsing allow=ulax",
        ),
        (
            PROCESSED,
            "asterisk:config:cdr.conf:general:nosuch: Could not find option suitable for category "
            "'general' named 'nosuch'",
        ),
        (
            KEYWORD,
            "asterisk:config:queues.conf:support:timeot: Unknown keyword in queue 'support': "
            "timeot",
        ),
        (
            STRATEGY,
            "asterisk:config:queues.conf:support:strategy: 'ringal' isn't a valid strategy for "
            "queue 'support', using ringall instead",
        ),
        (
            FILE,
            "asterisk:config:rtp.conf: Unreasonable values for RTP start/end port in rtp.conf",
        ),
    ],
)
def test_a_complaint_is_told_where_it_was_written(console, line):
    assert told(NOISE + console + NOISE) == [line]


def test_what_was_said_of_the_files_before_is_not_said_again():
    moved = KEYWORD.replace("line 3", "line 30").replace("04:35", "04:36")
    assert told(KEYWORD + OPTION, moved) == told(OPTION)


@pytest.mark.parametrize("console", [NOISE, ADDRESS], ids=["noise", "an address of the host"])
def test_what_a_network_of_its_own_is_the_cause_of_is_no_fault(console):
    assert told(console) == []


def test_each_complaint_has_its_own_reasons():
    lines = told(OPTION + PROCESSED + FORMAT + KEYWORD)
    assert [line.split(": ")[0] for line in lines] == [
        "asterisk:config:pjsip.conf:phone(!):dtmf_mod",
        "asterisk:config:cdr.conf:general:nosuch",
        "asterisk:config:pjsip.conf:101(phone):allow",
        "asterisk:config:queues.conf:support:timeot",
    ]


def test_what_was_said_before_is_not_news_beside_other_neighbours():
    stray = STARTS + "res_pjsip/location.c:1 x: a bad contact\n"
    assert told(KEYWORD, stray + KEYWORD) == []


def test_a_stir_shaken_conf_that_asks_for_nothing_is_no_fault():
    console = (
        "[2026-11-23 04:03:51] WARNING[2366]: res_stir_shaken/verification_config.c:340 vs_reload: "
        "Stir/Shaken verification service disabled.  Either there were errors in the "
        "'verification' object in stir_shaken.conf or it was missing altogether.\n"
    )
    assert messages.new(messages.said(console, "/new"), []) == []
