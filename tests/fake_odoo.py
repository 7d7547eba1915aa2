"""
A scripted Odoo on loopback: real HTTP, the dialects JSON-2 and JSON-RPC, and the inbox's side of
the delivery protocol (a mark and stored answers for each outbox).

It does on demand what a real Odoo does rarely: loses an answer after it has applied a batch,
hangs, answers 413, breaks off. :meth:`FakeOdoo.then` queues what the next requests meet;
:attr:`FakeOdoo.handler` decides about each item.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON_ERRORS = {
    401: ("werkzeug.exceptions.Unauthorized", "Invalid apikey"),
    403: ("odoo.exceptions.AccessError", "You are not allowed to access this"),
    404: ("werkzeug.exceptions.NotFound", "the model 'asterisk_plus.inbox' does not exist"),
    422: ("werkzeug.exceptions.UnprocessableEntity", "missing a required argument: 'minion'"),
    500: ("builtins.ZeroDivisionError", "division by zero"),
}


class FakeOdoo:
    """One database ``prod`` with one user ``pbx1`` whose API key is ``key``.

    ``version``: 19 and later answer JSON-2 too. ``batches``: what ``receive`` was called with,
    heartbeats left out, as ``(outbox, number, [item id])``; ``applied``: the items (dicts) whose
    handler took effect, in order. ``events`` and ``serial``: what ``get_map`` answers.
    """

    database, login, key, uid = "prod", "pbx1", "key", 7

    def __init__(self, version=19, certificate=None):
        self.version = version
        self.told = version  # Odoo online tells 'saas~19'
        self.serial = "s1"
        self.map = {"events": {}, "bus_events": {}}
        self.handler = lambda item: ["done"]
        self.batches, self.applied, self.requests = [], [], []
        self.heartbeats = 0
        self.away = None  # an HTTP status: what a proxy answers while Odoo is away
        self._mailboxes = {}
        self._script = deque()
        self._certificate = certificate
        self._changed = threading.Condition()
        self._applying = threading.Lock()
        self._released = threading.Event()
        self._port = 0
        self._server = None
        self.start()

    # Running -----------------------------------------------------------------------------

    def start(self):
        """Listen, on the same port each time."""
        server = _Server(("127.0.0.1", self._port), _Handler)
        server.odoo = self
        self._port = server.server_address[1]
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self):
        """Refuse connections, and let go what hangs."""
        self._released.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
        self._released = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.stop()

    @property
    def url(self):
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    def settings(self, **others):
        """The value of the pillar key ``asterisk:odoo`` for this server."""
        return {
            "url": self.url,
            "database": self.database,
            "login": self.login,
            "api_key": self.key,
            **others,
        }

    def then(self, *troubles):
        """What the next requests that carry a batch, or any model's method, meet, in order.

        An HTTP status (404 with JSON); ``'404 html'``; ``'redirect'``; ``'close'`` (before
        anything is done); ``'lose'`` (applied, answer lost); ``'hang'``; ``'apply and hang'``;
        ``'not json'``; ``'ok'``; ``{'result': …}`` (answered as it is); ``{'error': …}``
        (JSON-RPC's error data); ``{'status': …, 'error': …}`` (the same, as JSON-2 has it).
        """
        self._script.extend(troubles)

    def wait_for(self, condition, timeout=30):
        """Wait until ``condition(self)``; fail the test when it does not come true."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise AssertionError(f"not within {timeout} s; seen: {self.batches[-5:]}")

    # What Odoo does ----------------------------------------------------------------------

    def trouble(self):
        return self._script.popleft() if self._script else "ok"

    def hang(self):
        self._released.wait(30)

    def call(self, model, method, arguments):
        """The result of a model's method, and whether its answer is to be lost or late."""
        is_heartbeat = arguments.get("number") == 0
        trouble = "ok" if is_heartbeat else self.trouble()
        if trouble not in ("ok", "lose", "apply and hang"):
            return None, trouble
        if (model, method) == ("asterisk_plus.event", "get_map"):
            return {"serial": self.serial, **self.map}, trouble
        assert (model, method) == ("asterisk_plus.inbox", "receive"), (model, method)
        with self._applying:  # as the row lock does
            result = self._receive(**arguments)
        with self._changed:
            self._changed.notify_all()
        return result, trouble

    def _receive(self, outbox, number, items, minion):
        assert len(outbox) == 32, "the addon takes an outbox id of 32 hex digits only"
        assert minion
        mark, answers = self._mailboxes.get(outbox, (0, {}))
        if number == 0:
            assert not items, "a heartbeat carries nothing"
            self.heartbeats += 1
            answers = {}
        else:
            self.batches.append((outbox, number, [item["id"] for item in items]))
            if number > mark:
                mark, answers = number, {}
                for item in items:
                    answer = ["stale"] if item.get("stale") else self.handler(item)
                    if answer is None:
                        continue  # not reached
                    answers[item["id"]] = answer
                    if answer == ["done"]:
                        self.applied.append(item)
                self._mailboxes[outbox] = mark, answers
            elif number < mark:
                answers = {}
        return {"mark": mark, "answers": answers, "serial": self.serial, "time": time.time()}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args):
        super().__init__(*args)
        self._open = set()

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self):
        super().server_close()
        for request in list(self._open):  # a killed Odoo keeps no connection alive
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """Silent: clients that end, and handshakes that fail, belong to the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_POST(self):
        odoo = self.server.odoo
        body = self.rfile.read(int(self.headers["Content-Length"]))
        odoo.requests.append((self.path, dict(self.headers), body))
        payload = json.loads(body)
        if odoo.away:
            self._answer(odoo.away, b"<html>an error of a proxy</html>", "text/html")
        elif self.path == "/jsonrpc":
            self._jsonrpc(odoo, payload["params"])
        elif self.path.startswith("/json/2/") and odoo.version >= 19:
            self._json2(odoo, *self.path.split("/")[3:], payload)
        else:
            self._answer(404, b"<html>not found</html>", "text/html")

    def _json2(self, odoo, model, method, arguments):
        if self.headers["X-Odoo-Database"] != odoo.database:
            self._answer(404, b"<!doctype html>not found", "text/html")
        elif self.headers["Authorization"] != f"bearer {odoo.key}":
            self._http_error(401)
        else:
            self._finish(*odoo.call(model, method, arguments), lambda result: result)

    def _jsonrpc(self, odoo, params):
        service, method, args = params["service"], params["method"], params["args"]
        if (service, method) == ("common", "version"):
            info = {"server_version_info": [odoo.told, 0, 0, "final", 0, ""]}
            self._finish(info, "ok", _enveloped)
        elif args[0] != odoo.database:
            message = f'FATAL:  database "{args[0]}" does not exist\n'
            self._rpc_error("psycopg2.OperationalError", message)
        elif (service, method) == ("common", "authenticate"):
            right = args[1:3] == [odoo.login, odoo.key]
            self._finish(odoo.uid if right else False, "ok", _enveloped)
        elif args[1:3] != [odoo.uid, odoo.key]:
            self._rpc_error("odoo.exceptions.AccessDenied", "Access Denied")
        else:
            _database, _uid, _key, model, name, positional, arguments = args
            assert positional == []
            self._finish(*odoo.call(model, name, arguments), _enveloped)

    def _finish(self, result, trouble, form):
        odoo = self.server.odoo
        if trouble in ("hang", "apply and hang"):
            odoo.hang()
            trouble = "close"
        if trouble in ("close", "lose"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif trouble == "redirect":
            self._answer(301, b"", "text/html", Location="https://elsewhere.example/")
        elif trouble == "404 html":
            self._answer(404, b"<!doctype html>not found", "text/html")
        elif trouble == "not json":
            self._answer(200, b"<html>please log in</html>", "text/html")
        elif isinstance(trouble, dict) and "status" in trouble:
            self._answer(trouble["status"], json.dumps(trouble["error"]).encode())
        elif isinstance(trouble, dict) and "error" in trouble:
            self._rpc_error(trouble["error"]["name"], trouble["error"]["message"])
        elif isinstance(trouble, dict):
            self._answer(200, json.dumps(form(trouble["result"])).encode())
        elif isinstance(trouble, int):
            self._http_error(trouble)
        else:
            self._answer(200, json.dumps(form(result)).encode())

    def _http_error(self, status):
        if status in JSON_ERRORS:
            name, message = JSON_ERRORS[status]
            body = {"name": name, "message": message, "arguments": [], "debug": ""}
            self._answer(status, json.dumps(body).encode())
        else:
            self._answer(status, b"<html>an error of a proxy</html>", "text/html")

    def _rpc_error(self, name, message):
        data = {"name": name, "message": message, "arguments": [], "debug": ""}
        error = {"code": 200, "message": "Odoo Server Error", "data": data}
        self._answer(200, json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode())

    def _answer(self, status, body, kind="application/json", **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Type": kind, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


def _enveloped(result):
    return {"jsonrpc": "2.0", "id": 1, "result": result}
