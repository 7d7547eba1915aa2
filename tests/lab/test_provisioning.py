"""The examples of docs/provisioning.md and pillar.example, on real Asterisks of 22 and 16."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import phones
import pytest
from house import House
from phones import Phone
from provisioned import Provisioned

REPO = Path(__file__).resolve().parents[2]
ODBC = ["libsqliteodbc", "odbcinst"]
PACKAGES = {"pbx2": ["asterisk", *ODBC], "pbx16": ["asterisk", "asterisk-voicemail", *ODBC]}
NUMBER = "442079460000"
# To each of the two the other one is the provider of docs/examples/office.sls.
PROVIDER = {
    "asterisk": {
        "endpoints": {
            NUMBER: {
                "context": "from-customers",
                "auth": {"password": "what the provider gave you"},
            }
        },
        "config": {
            "extensions.conf": {
                "from-customers": ["exten => _X.,1,Answer()", "same => n,Echo()"],
                "to-customers": [f"exten => 1,1,Dial(PJSIP/{NUMBER},20)"],
            }
        },
    }
}
FOREIGN = {
    "manager.conf": "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n"
    "#include manager_custom.conf\n",
    "manager_custom.conf": "[bob]\nsecret = bobs own\nread = call\n",
}

both = pytest.mark.parametrize("name", list(PACKAGES))


def example(name):
    return (REPO / f"docs/examples/{name}.sls").read_text()


def on_each(pbxs, function):
    """What ``function`` returned for each PBX; they work side by side."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(pbxs, pool.map(function, pbxs.values())))


@pytest.fixture(scope="module")
def house():
    house = House()
    house.lab("up", "hub", *PACKAGES)
    return house


@pytest.fixture(scope="module")
def pbxs(house):
    pbxs = {
        name: Provisioned(house, name, {"install": {"packages": packages}})
        for name, packages in PACKAGES.items()
    }
    on_each(pbxs, Provisioned.prepare)
    yield pbxs
    on_each(pbxs, Provisioned.restore)


def put_in_force(pbxs, **pillar):
    """Apply the pillar on each PBX, and once more: host -> what that still changed."""

    def put(pbx):
        pbx.put_pillar(**pillar)
        return pbx.apply_twice()

    return on_each(pbxs, put)


NOTHING = {name: {} for name in PACKAGES}


class TestOffice:
    """Phones, a trunk by registration, another one by address."""

    @pytest.fixture(scope="class", autouse=True)
    def again(self, house, pbxs):
        # The addresses that the example names: the provider is the other PBX, the carrier the hub.
        house.run("hub", "ip", "address", "replace", "192.0.2.10/32", "dev", "host0")
        for name, pbx in pbxs.items():
            (other,) = pbxs.keys() - {name}
            line = f"{house.address(other)} sip.example.com"
            # Asterisk's resolver reads the file once, when it starts.
            add = 'echo "$0" >> /etc/hosts && systemctl try-restart asterisk'
            pbx.run("sh", "-c", f'grep -qx "$0" /etc/hosts || {{ {add}; }}', line)
            pbx.run("ip", "route", "replace", "192.0.2.10", "via", house.address("hub"))
        return put_in_force(pbxs, office=example("office"), provider=PROVIDER)

    def test_a_second_apply_changes_nothing(self, again):
        assert again == NOTHING

    @both
    def test_one_phone_calls_the_other(self, house, name):
        with Phone(house, name, "102").answering():
            Phone(house, name, "101").call("102")

    @both
    def test_a_phone_calls_out_over_the_provider(self, house, pbxs, name):
        # It may have asked the other PBX before that knew of it, and would wait a minute.
        pbxs[name].console("pjsip send register provider")
        house.await_that(
            lambda: pbxs[name].shows("pjsip show registrations", "provider Registered"),
            "a registration",
        )
        Phone(house, name, "101").call("02079460999")

    @both
    def test_a_call_over_the_registration_rings_the_phones(self, house, pbxs, name):
        (other,) = pbxs.keys() - {name}
        with Phone(house, name, "101").answering():
            pbxs[other].console("channel originate Local/1@to-customers application Wait 1")

    @both
    def test_the_carrier_is_known_by_its_address_alone(self, house, name):
        call = ["sipp", house.address(name), "-sn", "uac", "-s", "0123", "-p", "5090", "-m", "1"]
        call += ["-d", "300", "-nostdin", "-timeout", "30", "-i"]
        # Not 102, which does not answer while 101 does: Asterisk goes on ringing it for 32 s.
        with Phone(house, name, "101").answering():
            house.run("hub", *call, "192.0.2.10")
        assert house.run("hub", *call, house.address("hub"), check=False).returncode != 0


class TestWebRTC:
    """Browsers and phones over TLS."""

    @pytest.fixture(scope="class", autouse=True)
    def again(self, pbxs):
        return put_in_force(pbxs, webrtc=example("webrtc"))

    def test_a_second_apply_changes_nothing(self, again):
        assert again == NOTHING

    @both
    def test_the_transports_are_up(self, pbxs, name):
        wanted = ["transport-tls tls 0 0 0.0.0.0:5061", "transport-wss wss"]
        assert pbxs[name].shows("pjsip show transports", *wanted)
        assert pbxs[name].shows(
            "http show status", "HTTPS Server Enabled and Bound to 0.0.0.0:8089"
        )

    @both
    def test_a_phone_calls_over_tls_with_its_voice_encrypted(self, house, name):
        phone = Phone(house, name, "203", "l1", 5061, phones.ENCRYPTED)
        phone.register()
        phone.call("600")

    @both
    def test_what_is_not_encrypted_is_refused(self, house, name):
        with pytest.raises(RuntimeError, match="488"):
            Phone(house, name, "203", "l1", 5061, phones.PLAIN).call("600")

    @both
    def test_a_browser_registers_and_calls_over_a_secure_websocket(self, house, name):
        browser = Phone(house, name, "201", "x1", 8089, phones.BROWSER)
        browser.register()
        browser.call("600")


class TestCallCentre:
    """A queue, agents who come and go, voicemail, music, parking."""

    @pytest.fixture(scope="class", autouse=True)
    def again(self, pbxs):
        return put_in_force(pbxs, call_centre=example("call-centre"))

    def test_a_second_apply_changes_nothing(self, again):
        assert again == NOTHING

    @both
    def test_an_agent_logs_in_takes_a_call_and_logs_out(self, house, pbxs, name):
        agent = Phone(house, name, "301")
        agent.call("801")
        assert pbxs[name].shows("queue show support", "rrmemory", "PJSIP/301")
        with agent.answering():
            Phone(house, name, "302").call("800", talk=3000)
        agent.call("802")
        assert not pbxs[name].shows("queue show support", "PJSIP/301")

    @both
    @pytest.mark.parametrize(
        ("command", "texts"),
        [
            ("queue show support", ["Grace Hopper (PJSIP/302) with penalty 5"]),
            ("voicemail show users", ["default 301 Ada Lovelace", "default 800 Support"]),
            ("moh show classes", ["Class: support Mode: files"]),
            ("features show", ["Blind Transfer # ##", "Park Call #72"]),
            ("parking show default", ["Parking Extension : 750", "Parking Spaces : 751-760"]),
            ("dialplan show 750@from-internal", ["Park("]),
        ],
    )
    def test_the_console_shows(self, pbxs, name, command, texts):
        assert pbxs[name].shows(command, *texts)


class TestPillarExample:
    """Every area of Asterisk's configuration, as pillar.example shows it, in force."""

    @pytest.fixture(scope="class", autouse=True)
    def again(self, pbxs):
        return put_in_force(pbxs, example=(REPO / "pillar.example").read_text())

    def test_a_second_apply_changes_nothing(self, again):
        assert again == NOTHING

    @both
    @pytest.mark.parametrize(
        ("command", "texts"),
        [
            ("core show settings", ["Maximum calls: 200"]),
            ("module show like res_pjsip.so", ["res_pjsip.so Basic SIP resource"]),
            (
                "pjsip show transports",
                [f"transport-{kind} {kind}" for kind in ("udp", "tcp", "tls", "ws", "wss")],
            ),
            (
                "pjsip show transport transport-udp",
                ["external_media_address : 198.51.100.1", "local_net : 10.0.0.0/255.0.0.0"],
            ),
            ("pjsip show endpoint 101", ["allow : (g722|ulaw|alaw)", "rewrite_contact : true"]),
            ("pjsip show endpoint 103", ["webrtc : yes", "media_encryption : dtls"]),
            ("pjsip show endpoint 104", ["transport : transport-tls", "media_encryption : sdes"]),
            ("pjsip show aor 102", ["max_contacts : 2", "mailboxes : 102@default"]),
            ("pjsip show auth provider", [f"username : {NUMBER}"]),
            ("pjsip show registrations", ["provider/sip:192.0.2.20"]),
            ("pjsip show identifies", ["carrier/carrier Match: 192.0.2.10/32"]),
            ("rtp show settings", ["Port start: 10000", "ICE support: Yes"]),
            ("acl show office", ["deny - 0.0.0.0/0.0.0.0", "allow - 10.0.0.0/255.0.0.0"]),
            ("dialplan show 101@from-internal", ["Dial(PJSIP/${EXTEN},30,kK)"]),
            ("dialplan show 600@echo", ["Echo()"]),
            ("dialplan show globals", ["TRUNK=provider"]),
            ("queue show support", ["rrmemory", "Alice (PJSIP/101)", "PJSIP/102) with penalty 5"]),
            ("agent show all", ["1001 Alice"]),
            ("voicemail show users", ["default 101 Alice", "default 102 Bob"]),
            ("moh show classes", ["Class: default Mode: files"]),
            ("features show", ["Attended Transfer *2", "Park Call #72"]),
            ("parking show default", ["Parking Extension : 700", "Parking Time : 120 sec"]),
            ("cdr show status", ["Adaptive ODBC", "cdr_manager", "csv"]),
            ("cel show status", ["CEL Logging: Enabled", "ODBC CEL", "Manager Event Logging"]),
            ("odbc show", ["Name: asterisk DSN: asterisk"]),
            ("logger show channels", ["messages.log", "security.log", "full.log"]),
            ("http show status", ["Bound to 127.0.0.1:8088", "Bound to 0.0.0.0:8089"]),
            ("ari show users", ["robot"]),
            ("manager show user monitor", ["read perm: system,call", "write perm: reporting"]),
            ("indication show", ["uk United Kingdom"]),
        ],
    )
    def test_the_console_shows(self, pbxs, name, command, texts):
        assert pbxs[name].shows(command, *texts)

    @both
    def test_modules_that_should_not_be_loaded_are_not(self, pbxs, name):
        assert not pbxs[name].shows("module show like chan_iax2", "chan_iax2.so")

    @both
    def test_a_call_and_its_events_are_recorded_by_csv_and_by_odbc(self, house, pbxs, name):
        with Phone(house, name, "102").answering():
            Phone(house, name, "101").call("102")
        row = "select src, dst, disposition from cdr where dst = '102' order by start desc"
        house.await_that(lambda: pbxs[name].recorded(row) == "101 102 ANSWERED", "a record")
        last = pbxs[name].recorded("select uniqueid from cdr order by start desc")
        heard = "select count(*) > 0 from cel where eventtype = 'ANSWER' and exten = '102'"
        house.await_that(lambda: pbxs[name].recorded(heard) == "1", "an event of the call")
        files = [
            f"/var/log/asterisk/{file}" for file in ("cdr-csv/Master.csv", "cel-custom/events.csv")
        ]
        find = ["grep", "-lF", last, *files]
        house.await_that(
            lambda: pbxs[name].run(*find, check=False).stdout.split() == files, "a line in each CSV"
        )

    @both
    def test_rotated_logs_are_renamed_and_written_anew(self, pbxs, name):
        log = "/var/log/asterisk/security.log"
        kept = pbxs[name].run("stat", "-c", "%i", log).stdout
        pbxs[name].run("logrotate", "--force", "/etc/logrotate.d/asterisk")
        assert pbxs[name].run("stat", "-c", "%i", f"{log}.1").stdout == kept
        assert pbxs[name].run("stat", "-c", "%U", log).stdout == "asterisk\n"
        assert pbxs[name].shows("logger show channels", "security.log File default Enabled")

    @both
    def test_the_security_log_says_who_was_refused_and_from_where(self, house, pbxs, name):
        wrong = Phone(house, name, "101")
        house.write("hub", "/root/phone-101.csv", "SEQUENTIAL\n101;not its password;\n")
        with pytest.raises(RuntimeError):
            wrong.register()
        # What fail2ban's own filter for Asterisk takes for a failure.
        told = r"^\[\d{4}-\d\d-\d\d \S+\] SECURITY\[\d+\] [^:]+: .*SecurityEvent=\"(Challenge"
        told += r"ResponseFailed|InvalidPassword)\".*RemoteAddress=\"IPV4/UDP/"
        told += re.escape(house.address("hub"))
        tail = ["tail", "-n", "20", "/var/log/asterisk/security.log"]
        house.await_that(
            lambda: re.search(told, pbxs[name].run(*tail).stdout, re.MULTILINE),
            "a line in the security log",
            30,
        )

    @both
    def test_ari_lets_its_user_in_and_runs_no_program(self, pbxs, name):
        ask = ["curl", "--silent", "--user", "robot:put the password here"]
        ari = "http://127.0.0.1:8088/ari/asterisk"
        assert '"version"' in pbxs[name].run(*ask, f"{ari}/info").stdout
        ran = pbxs[name].run(*ask, "--get", f"{ari}/variable", "-d", "variable=SHELL(id)").stdout
        assert "uid=" not in ran


class TestBesideFreePBX:
    """An Asterisk that somebody else configures gets an AMI account, and nothing else."""

    @pytest.fixture(scope="class")
    def found(self, pbxs):
        """Per host, the files of /etc/asterisk before the formula came."""
        return on_each(pbxs, self.find)

    @pytest.fixture(scope="class", autouse=True)
    def again(self, pbxs, found):
        return put_in_force(pbxs, freepbx=example("freepbx"))

    @staticmethod
    def find(pbx):
        for file, text in FOREIGN.items():
            pbx.install(f"/etc/asterisk/{file}", text)
        pbx.console("manager reload")
        return pbx.run("sh", "-c", "cd /etc/asterisk && md5sum $(find . -type f)").stdout

    def test_a_second_apply_changes_nothing(self, again):
        assert again == NOTHING

    @both
    def test_both_accounts_are_there(self, pbxs, name):
        shown = pbxs[name].console("manager show users").split()
        assert {"salt", "bob"} <= set(shown)

    @both
    def test_its_own_words_stay_in_the_file_that_it_leaves_to_users(self, pbxs, name):
        text = pbxs[name].run("cat", "/etc/asterisk/manager_custom.conf").stdout
        assert text.startswith(FOREIGN["manager_custom.conf"])

    @both
    def test_no_other_file_is_touched(self, pbxs, found, name):
        script = "cd /etc/asterisk && md5sum $(find . -type f)"
        now = pbxs[name].run("sh", "-c", script).stdout
        changed = set(now.splitlines()) ^ set(found[name].splitlines())
        assert {line.split()[1] for line in changed} == {"./manager_custom.conf"}
