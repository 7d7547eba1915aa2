import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
from unittest.mock import patch

from odoo.tests import BaseCase, tagged

from .. import salt_api
from .common import Tools

LOWSTATE = {"client": "runner", "fun": "asterisk.job"}


class FakeSaltApi(http.server.BaseHTTPRequestHandler):
    """Answers with what the test put into ``answers``: ``(status, body)`` by path."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers.get("X-Auth-Token"), body))
        answers = self.server.answers[self.path]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            self.close_connection = True
            return
        if status == -1:
            self.server.released.wait(20)
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *args):
        pass


@tagged("post_install", "-at_install")
class TestSaltApi(Tools, BaseCase):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeSaltApi)
        self.server.requests = []
        self.server.released = threading.Event()
        self.server.answers = {
            "/login": [(200, {"return": [{"token": "first"}]})],
            "/": [(200, {"return": [{"jid": "1", "minions": ["pbx1"]}]})],
        }
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.released.set)
        self.started(patch.dict(salt_api._tokens, clear=True))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.account = salt_api.Account(self.url, "odoo", "secret", "file", "")

    def paths(self):
        return [path for path, _token, _body in self.server.requests]

    def error(self, account=None, **options):
        with self.assertRaises(salt_api.SaltApiError) as caught:
            salt_api.low(account or self.account, LOWSTATE, **options)
        return caught.exception

    def test_pepper_did_not_switch_verification_off_for_the_process(self):
        self.assertIs(ssl._create_default_https_context, ssl.create_default_context)
        context = salt_api.tls_context("")
        self.assertEqual(context.verify_mode, ssl.CERT_REQUIRED)
        self.assertTrue(context.check_hostname)

    def test_a_token_is_kept_for_the_next_time(self):
        salt_api.low(self.account, LOWSTATE)
        answer = salt_api.low(self.account, LOWSTATE)
        self.assertEqual(answer, {"jid": "1", "minions": ["pbx1"]})
        self.assertEqual(self.paths(), ["/login", "/", "/"])
        self.assertEqual(self.server.requests[2][1:], ("first", [LOWSTATE]))

    def test_a_changed_password_does_not_use_the_old_token(self):
        salt_api.low(self.account, LOWSTATE)
        salt_api.low(self.account._replace(password="other"), LOWSTATE)
        self.assertEqual(self.paths(), ["/login", "/", "/login", "/"])

    def test_a_token_that_ended_is_renewed_once(self):
        salt_api.low(self.account, LOWSTATE)
        self.server.answers["/"] = [(401, {}), (200, {"return": [{"jid": "2"}]})]
        self.assertEqual(salt_api.low(self.account, LOWSTATE), {"jid": "2"})
        self.assertEqual(self.paths(), ["/login", "/", "/", "/login", "/"])

    def test_a_function_that_is_not_allowed_is_named(self):
        self.server.answers["/"] = [(401, {})]
        self.assertIn("refuses asterisk.job", str(self.error()))
        self.assertEqual(self.paths(), ["/login", "/"])
        self.assertIn("refuses asterisk.job", str(self.error()))
        self.assertEqual(self.paths(), ["/login", "/", "/", "/login", "/"])

    def test_a_wrong_password_is_said(self):
        self.server.answers["/login"] = [(401, {})]
        self.assertEqual(
            str(self.error()), "salt-api answered 401: the user or password on the server's page"
        )

    def test_other_answers_are_shown(self):
        self.server.answers["/"] = [(500, b"The master\nis not responding")]
        self.assertIn("answered 500: The master is not responding", str(self.error()))

    def test_an_error_page_is_shown_as_text(self):
        page = b"<html><head><style>p {}</style></head><body><p>Client disabled</p></body>"
        self.server.answers["/"] = [(400, page)]
        self.assertTrue(str(self.error()).endswith("answered 400: Client disabled"))

    def test_what_is_not_salt_api_is_said(self):
        self.server.answers["/login"] = [(200, b"<html>")]
        self.assertIn("is not salt-api", str(self.error()))
        self.server.answers["/login"] = [(200, {"hello": 1})]
        self.assertIn("is not salt-api", str(self.error()))

    def test_a_redirect_is_not_followed(self):
        self.server.answers["/login"] = [(302, {})]
        self.assertIn("answered 302", str(self.error()))
        self.assertEqual(self.paths(), ["/login"])

    def test_a_closed_port_is_said(self):
        self.server.shutdown()
        self.server.server_close()
        error = self.error()
        self.assertIn("Nothing listens", str(error))
        self.assertFalse(error.unsure)

    def test_a_lost_answer_is_unsure(self):
        self.server.answers["/"] = [(0, None)]
        self.assertTrue(self.error().unsure)
        self.server.answers["/login"] = [(0, None)]
        salt_api._tokens.clear()
        self.assertFalse(self.error().unsure)

    def test_no_answer_ends_at_the_deadline(self):
        self.server.answers["/"] = [(-1, None)]
        started = time.monotonic()
        error = self.error(timeout=2)
        self.assertLess(time.monotonic() - started, 15)
        self.assertTrue(error.unsure)
        self.assertIn("No answer in time", str(error))

    def slow(self, *parts, scheme="http"):
        """An account at a salt-api that sends ``parts`` one by one and never comes to an end."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            connection, _address = listener.accept()
            with connection, contextlib.suppress(OSError):
                for part in parts:
                    connection.sendall(part)
                    if self.server.released.wait(0.2):
                        return
                self.server.released.wait(20)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.released.set)
        return self.account._replace(url=f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")

    def test_no_way_of_being_slow_outlasts_the_deadline(self):
        body = b"HTTP/1.1 %s\r\nContent-Length: 99\r\n\r\n"
        for way, account, words in (
            ("body", self.slow(body % b"200 OK", *[b"{"] * 20), "No answer in time"),
            ("headers", self.slow(b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 20), "No answer in"),
            ("error page", self.slow(body % b"500 No", *[b"x"] * 20), "answered 500"),
            ("handshake", self.slow(scheme="https"), "could not be reached in time"),
        ):
            with self.subTest(way):
                started = time.monotonic()
                self.assertIn(words, str(self.error(account, timeout=1)))
                self.assertLess(time.monotonic() - started, 3.5)

    def test_the_addresses_of_a_name_share_the_time(self):
        # Nobody takes the second connection, so the third gets no answer.
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        for _number in range(2):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            self.addCleanup(waiting.close)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())] * 3
        started = time.monotonic()
        with patch.object(socket, "getaddrinfo", lambda *args, **options: found):
            error = self.error(self.account._replace(url="http://hub.test:1"), timeout=2)
        self.assertLess(time.monotonic() - started, 5)
        self.assertIn("could not be reached in time", str(error))
        self.assertFalse(error.unsure)

    def test_a_name_server_that_does_not_answer_does_not_outlast_the_deadline(self):
        def unanswered(*args, **options):
            self.server.released.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        started = time.monotonic()
        with patch.object(socket, "getaddrinfo", unanswered):
            error = self.error(self.account._replace(url="http://hub.test:1"), timeout=1)
        self.assertLess(time.monotonic() - started, 3.5)
        self.assertIn("could not be reached in time", str(error))
        self.assertFalse(error.unsure)

    def test_plain_http_behind_https_is_said(self):
        error = self.error(self.account._replace(url=self.url.replace("http:", "https:")))
        self.assertIn("No TLS with", str(error))
