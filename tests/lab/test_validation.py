"""New files are validated on real Asterisks of 22 and 16: each rule is broken once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from house import House
from provisioned import SLS, Provisioned

PACKAGES = {"pbx2": ["asterisk"], "pbx16": ["asterisk"]}
SOUND = {
    "endpoints": {
        "101": None,
        "102": None,
        "provider": {
            "template": "trunk",
            "auth": {"username": "pbx", "password": "what the provider gave you"},
            # Names and addresses that nothing in a namespace of its own knows.
            "registration": {
                "server_uri": "sip:sip.example.com",
                "client_uri": "sip:pbx@sip.example.com",
            },
            "identify": {"match": "sip.example.com"},
        },
    },
    "config": {
        "pjsip.conf": {
            "transport-tcp": {
                "type": "transport",
                "protocol": "tcp",
                "bind": "192.0.2.7:5060",
                "external_media_address": "pbx.example.com",
                "external_signaling_address": "pbx.example.com",
            }
        },
        "pjsip_wizard.conf": {
            "partner": {"type": "wizard", "remote_hosts": "sip.example.net:5070"}
        },
        "rtp.conf": {"general": {"stunaddr": "stun.example.com:3478"}},
        "queues.conf": {"support": {"strategy": "ringall", "member": ["PJSIP/101"]}},
        "extensions.conf": {
            "from-internal": {"exten": ["_1XX,1,Dial(PJSIP/${EXTEN},20)", "600,1,Queue(support)"]},
            "from-trunk": {"exten": ["_X.,1,Goto(from-internal,600,1)"]},
        },
    },
}
# What breaks a rule, laid over that, and the lines that it has to be told in.
REFERENCES = {
    "endpoints": {
        "103": {"template": "fone"},
        "104": {"transport": "transport-upd", "context": "from-intern"},
    },
    "config": {
        "pjsip.conf": {
            "door": {"type": "endpoint", "auth": "dor", "aors": "door"},
            "door-address": {"type": "identify", "endpoint": "dor", "match": "192.0.2.8"},
        },
        "queues.conf": {"sales": {"member": ["PJSIP/109"]}},
        "extensions.conf": {
            "from-door": [
                {"include": "nowhere"},
                {"exten": "1,1,Queue(suport)"},
                {"exten": "1,1,Hangup()"},
                {"exten": "2,1,Goto(elsewhere,s,1)"},
                "#include gone.conf",
            ]
        },
    },
}
REFERENCES_TOLD = """\
asterisk:endpoints:103: [103]: there is no section fone above to inherit from
asterisk:endpoints:104:transport: there is no transport 'transport-upd' (did you mean \
'transport-udp'?)
asterisk:endpoints:104:context: there is no context 'from-intern' (did you mean 'from-internal'?)
asterisk:config:pjsip.conf:door:auth: there is no auth 'dor'
asterisk:config:pjsip.conf:door:aors: there is no aor 'door'
asterisk:config:pjsip.conf:door-address:endpoint: there is no endpoint 'dor' (did you mean 'door'?)
asterisk:config:queues.conf:sales:member: PJSIP/109: there is no endpoint '109'
asterisk:config:extensions.conf:from-door:include: there is no context 'nowhere'
asterisk:config:extensions.conf:from-door:exten: 1,1,Queue: queues.conf has no queue 'suport'
asterisk:config:extensions.conf:from-door:exten: 1,1: the context has this extension and priority
asterisk:config:extensions.conf:from-door:exten: 2,1,Goto: there is no context 'elsewhere'
asterisk:config:extensions.conf:from-door: #include gone.conf: there is no such file
"""
ASTERISKS_OWN = {
    "endpoints": {"105": {"dtmf_mod": "rfc4733"}, "106": {"aor": {"max_contacts": "some"}}},
    "config": {
        "pjsip.conf": {
            "transport-tls": {
                "type": "transport",
                "protocol": "tls",
                "bind": "0.0.0.0:5061",
                "cert_file": "/gone.crt",
                "priv_key_file": "/gone.key",
            }
        },
        "queues.conf": {"support": {"strategy": "ringal", "timeot": 15}},
        "extensions.conf": {"from-door": [{"exten": "1,x,Answer()"}]},
        "cdr.conf": {"general": {"unanswerd": True}},
    },
}
ASTERISKS_OWN_TOLD = """\
asterisk:endpoints:105:dtmf_mod: Could not find option suitable
asterisk:endpoints:106:aor:max_contacts: Error parsing max_contacts=some
asterisk:config:pjsip.conf:transport-tls:cert_file: Transport: transport-tls: cert_file /gone.crt
asterisk:config:queues.conf:support:strategy: 'ringal' isn't a valid strategy
asterisk:config:queues.conf:support:timeot: Unknown keyword in queue 'support': timeot
asterisk:config:extensions.conf:from-door:exten: Invalid priority/label 'x'
asterisk:config:cdr.conf:general:unanswerd: Could not find option suitable
"""
JUMPS = {"config": {"extensions.conf": {"from-door": {"exten": "1,1,Goto(from-internal,609,1)"}}}}
JUMPS_TOLD = """\
asterisk:config:extensions.conf:from-door:exten: it jumps to from-internal,609,1, and nothing
"""


@pytest.fixture(scope="module")
def pbxs():
    house = House()
    house.lab("up", *PACKAGES)
    pbxs = [
        Provisioned(house, name, {"install": {"packages": packages}})
        for name, packages in PACKAGES.items()
    ]
    on_each(pbxs, Provisioned.prepare)
    on_each(pbxs, lambda pbx: put(pbx, {}))
    yield pbxs
    on_each(pbxs, Provisioned.restore)


def on_each(pbxs, function):
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, pbxs))


def put(pbx, changes, *arguments):
    """Apply the sound pillar with changes laid over: state ID -> what became of it."""
    pbx.put_pillar(sound={"asterisk": SOUND}, changes={"asterisk": changes})
    states = pbx.salt("state.apply", SLS, *arguments)
    assert isinstance(states, dict), states
    return {state["__id__"]: state for state in states.values()}


def seen(pbx):
    """What must stay as it was: Asterisk's files, its process, what it knows."""
    files = pbx.run("sh", "-c", "ls -lR --time-style=full-iso /etc/asterisk; pidof asterisk").stdout
    # Not their states: the registration of another test's phone may expire at any time.
    endpoints = re.findall(r"^ Endpoint:\s+(\S+)", pbx.console("pjsip show endpoints"), re.M)
    return files, endpoints, pbx.console("dialplan show from-door")


def test_sound_files_are_written_and_a_second_apply_validates_nothing(pbxs):
    for states in on_each(pbxs, lambda pbx: put(pbx, {})):
        assert all(state["result"] for state in states.values())
        tested = states["asterisk-config-tested"]
        assert tested["comment"] == "No file differs, so there is nothing to validate"


@pytest.mark.parametrize(
    ("changes", "told", "arguments"),
    [
        (REFERENCES, REFERENCES_TOLD, ["test=True"]),
        (ASTERISKS_OWN, ASTERISKS_OWN_TOLD, []),
        (JUMPS, JUMPS_TOLD, []),
    ],
    ids=["references", "a second Asterisk", "jumps"],
)
def test_a_fault_is_told_with_the_pillars_path_and_asterisk_goes_on(pbxs, changes, told, arguments):
    def broken(pbx):
        before = seen(pbx)
        states = put(pbx, changes, *arguments)
        return before, states, seen(pbx)

    for before, states, after in on_each(pbxs, broken):
        tested = states["asterisk-config-tested"]
        assert tested["result"] is False
        for line in told.splitlines():
            assert any(one.startswith(line) for one in tested["comment"].splitlines()), (
                line + "\n" + tested["comment"]
            )
        # The clone's own code may be newer than what the last test synced.
        changed = {name for name, state in states.items() if state["changes"]}
        assert changed <= {"asterisk-extensions"}
        assert after == before


def test_no_second_asterisk_and_no_copy_of_secrets_is_left_behind(pbxs):
    for pbx in pbxs:
        assert len(pbx.run("pidof", "asterisk").stdout.split()) == 1
        assert pbx.run("sh", "-c", "ls -d /run/asterisk-trial-*", check=False).stdout == ""
