"""The Odoo client: results over either dialect, and errors that name the setting to mend."""

import datetime
import json
import socket

import pytest
from tests.fake_odoo import FakeOdoo

from pbxlib import settings
from pbxlib.errors import (
    OdooBroke,
    OdooConflict,
    OdooFailed,
    OdooRefused,
    OdooTimeout,
    OdooTooLarge,
    OdooUnreachable,
)
from pbxlib.odoo import Client
from pbxlib.plain import Encoded, dumps

OUTBOX = "0" * 32


@pytest.fixture(params=["json2", "jsonrpc"])
def api(request):
    return request.param


def client(odoo, **others):
    found = settings.resolve({"odoo": odoo.settings()})["odoo"]
    return Client({**found, "connect_timeout": 2.0, "read_timeout": 2.0, **others})


def heartbeat(caller):
    return caller.call(
        "asterisk_plus.inbox", "receive", outbox=OUTBOX, number=0, items=[], minion="p"
    )


def ask(caller):
    return caller.call("asterisk_plus.event", "get_map")


def test_a_method_is_called_by_name_with_its_arguments(odoo, api):
    answer = heartbeat(client(odoo, api=api))
    assert (answer["mark"], answer["serial"]) == (0, "s1")


def test_an_argument_that_is_json_already_goes_as_it_is(odoo, api):
    items = [{"id": "0" * 16, "kind": "event", "data": {"CallerIDName": 'Zoë "Z" \\'}}]
    arguments = {"outbox": OUTBOX, "number": 1, "minion": "p"}
    client(odoo, api=api).call(
        "asterisk_plus.inbox", "receive", items=Encoded(dumps(items)), **arguments
    )
    assert odoo.applied == items


@pytest.mark.parametrize(("version", "dialect"), [(19, "json/2"), ("saas~19", "json/2")])
def test_the_dialect_of_odoo_19_on_is_found_out_once(odoo, version, dialect):
    odoo.told = version
    caller = client(odoo)
    ask(caller)
    ask(caller)
    assert [request[0][1:7] for request in odoo.requests] == ["jsonrp", dialect, dialect]


@pytest.mark.parametrize("version", [14, "saas~18", "saas~16.4"])
def test_an_odoo_before_19_is_asked_by_jsonrpc(odoo, version):
    odoo.told = version
    caller = client(odoo)
    ask(caller)
    ask(caller)
    assert {request[0] for request in odoo.requests} == {"/jsonrpc"}
    assert len(odoo.requests) == 4, "the version, the login, and two calls"


@pytest.mark.parametrize("version", [None, "nineteen"])
def test_a_server_that_tells_no_version_is_no_odoo(odoo, version):
    odoo.told = version
    with pytest.raises(OdooRefused, match="asterisk:odoo:url an Odoo"):
        ask(client(odoo))


def test_a_proxy_that_answers_404_while_odoo_is_away_settles_no_dialect(odoo):
    odoo.version = odoo.told = 14
    caller = client(odoo)
    odoo.away = 404
    with pytest.raises(OdooRefused):
        ask(caller)
    odoo.away = None
    assert ask(caller)["serial"] == "s1"


def test_text_goes_as_utf8_not_as_escapes_that_are_six_times_as_long(odoo):
    client(odoo, api="json2").call("asterisk_plus.event", "get_map", name="Ж" * 100)
    assert len(odoo.requests[-1][2]) < 300


def test_a_wrong_key_is_named(odoo, api):
    with pytest.raises(OdooRefused, match="asterisk:odoo:api_key") as caught:
        ask(client(odoo, api=api, api_key="s3cr3t"))
    assert "s3cr3t" not in str(caught.value)


def test_a_wrong_database_is_named(odoo, api):
    with pytest.raises(OdooRefused, match=r"'test' \(asterisk:odoo:database\)"):
        ask(client(odoo, api=api, database="test"))


def test_a_missing_right_is_named(odoo, api):
    odoo.then(403 if api == "json2" else {"error": _named("odoo.exceptions.AccessError")})
    with pytest.raises(OdooRefused, match="Phone: Agent of a PBX"):
        ask(client(odoo, api=api))


def test_a_missing_addon_is_named(odoo):
    odoo.then(404)
    with pytest.raises(OdooRefused, match="asterisk_plus installed"):
        ask(client(odoo, api="json2"))


def test_arguments_of_another_version_are_named(odoo):
    odoo.then(422)
    with pytest.raises(OdooRefused, match="different versions"):
        ask(client(odoo, api="json2"))


def test_a_redirect_is_not_followed_with_the_key_but_named(odoo, api):
    odoo.then("redirect")
    with pytest.raises(OdooRefused, match="asterisk:odoo:url"):
        ask(client(odoo, api=api))


def test_a_refused_size_is_told_apart(odoo, api):
    odoo.then(413)
    with pytest.raises(OdooTooLarge, match="proxy"):
        ask(client(odoo, api=api))


def test_an_error_of_the_method_carries_odoos_words(odoo, api):
    odoo.then(500 if api == "json2" else {"error": _named("builtins.ZeroDivisionError")})
    with pytest.raises(
        OdooFailed, match=r"builtins\.ZeroDivisionError: (division by zero|no luck)"
    ):
        ask(client(odoo, api=api))


@pytest.mark.parametrize(
    ("status", "name"),
    [(422, "UserError"), (422, "ValidationError"), (404, "MissingError"), (409, "LockError")],
)
def test_an_error_of_the_method_is_told_from_a_wrong_setting_of_the_same_status(odoo, status, name):
    odoo.then({"status": status, "error": _named(f"odoo.exceptions.{name}")})
    with pytest.raises(OdooFailed, match=rf"odoo\.exceptions\.{name}: no luck"):
        ask(client(odoo, api="json2"))


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_error_of_the_proxy_may_pass(odoo, api, status):
    odoo.then(status)
    with pytest.raises(OdooBroke, match=str(status)):
        ask(client(odoo, api=api))


@pytest.mark.parametrize("trouble", ["close", "lose"])
def test_a_connection_that_ends_without_an_answer_may_have_done_it(odoo, api, trouble):
    caller = client(odoo, api=api)
    ask(caller)
    odoo.then(trouble)
    with pytest.raises(OdooBroke, match="broke off: "):
        ask(caller)


def test_an_answer_that_does_not_come_is_a_timeout(odoo, api):
    odoo.then("hang")
    with pytest.raises(OdooTimeout, match=r"0\.1 s .asterisk:odoo:read_timeout"):
        ask(client(odoo, api=api, read_timeout=0.1))


def test_a_login_page_in_place_of_an_answer_is_told(odoo, api):
    odoo.then("not json")
    with pytest.raises(OdooUnreachable, match="not JSON"):
        ask(client(odoo, api=api))


def test_nobody_listening_is_told_with_the_address_and_the_same_words_each_time(odoo, api):
    odoo.stop()
    caller = client(odoo, api=api)
    words = []
    for _ in range(2):
        with pytest.raises(OdooUnreachable) as caught:
            ask(caller)
        words.append(str(caught.value))
    assert words[0] == words[1]
    assert words[0].startswith(f"Odoo at {odoo.url} cannot be reached: ")
    assert words[0].endswith("Connection refused")
    assert "0x" not in words[0]


def test_a_host_that_does_not_answer_is_told_in_the_same_words_each_time(odoo):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        words = []
        for _ in range(2):
            caller = client(odoo, url=f"http://127.0.0.1:{port}", connect_timeout=0.1)
            with pytest.raises(OdooUnreachable, match="timed out") as caught:
                ask(caller)
            words.append(str(caught.value))
        for one in waiting:
            one.close()
    assert words[0] == words[1]
    assert "0x" not in words[0]


def test_a_database_that_does_not_answer_may_come_back():
    with FakeOdoo(14) as odoo:
        odoo.then({"error": _named("psycopg2.OperationalError", "server closed the connection")})
        with pytest.raises(OdooUnreachable, match="server closed the connection"):
            ask(client(odoo))


@pytest.mark.parametrize(
    "name", ["psycopg2.errors.SerializationFailure", "odoo.exceptions.ConcurrencyError"]
)
def test_a_conflict_that_outlived_odoos_tries_is_told_from_a_failure(odoo, api, name):
    error = _named(name, "could not serialize access")
    odoo.then({"status": 500, "error": error} if api == "json2" else {"error": error})
    with pytest.raises(OdooConflict, match="could not serialize access"):
        ask(client(odoo, api=api))


def test_after_a_refused_login_the_user_is_asked_for_again():
    with FakeOdoo(14) as odoo:
        caller = client(odoo)
        ask(caller)
        odoo.uid = 8  # a restored database
        with pytest.raises(OdooRefused):
            ask(caller)
        assert ask(caller)["serial"] == "s1"


def test_missing_settings_are_named_all_at_once():
    with pytest.raises(OdooRefused, match="asterisk:odoo:url, asterisk:odoo:api_key"):
        Client(settings.resolve({"odoo": {"database": "prod", "login": "pbx1"}})["odoo"])


def test_a_file_of_authorities_that_cannot_be_read_is_named(odoo):
    with pytest.raises(OdooRefused, match="asterisk:odoo:ca_file /nowhere"):
        client(odoo, ca_file="/nowhere")


def test_a_certificate_is_verified_against_the_named_authority(tmp_path):
    certificate = _certificate(tmp_path)
    with FakeOdoo(certificate=certificate) as odoo:
        with pytest.raises(OdooRefused, match="asterisk:odoo:ca_file"):
            ask(client(odoo))
        assert ask(client(odoo, ca_file=certificate[0]))["serial"] == "s1"


def _named(name, message="no luck"):
    return {"name": name, "message": message}


def _certificate(folder):
    """Paths of a self-signed certificate for 127.0.0.1 and of its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odoo")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "odoo.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "odoo.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "odoo.crt"), str(folder / "odoo.key")


def test_the_key_goes_into_a_header_or_the_body_and_nowhere_else(odoo, api):
    ask(client(odoo, api=api))
    for path, headers, body in odoo.requests:
        assert odoo.key not in path
        assert odoo.key not in json.dumps(
            {k: v for k, v in headers.items() if k != "Authorization"}
        )
        if api == "json2":
            assert b'"key"' not in body
