"""Calling salt-api by way of pepper: verified TLS, a deadline, a token kept in the worker.

Every failure is a :class:`SaltApiError` whose text says what was tried, what came back and what
to mend. Source of the protocol: Salt's ``rest_cherrypy``.
"""

import collections
import contextlib
import hashlib
import http.client
import json
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request

import pepper

# Importing pepper switches certificate verification off for every https request of the process.
# What Python itself sets goes back at once.
ssl._create_default_https_context = ssl.create_default_context

TIMEOUT = 10.0
MAX_ANSWER = 16 * 1024 * 1024

Account = collections.namedtuple("Account", "url user password eauth ca")

_tokens = {}
_tokens_lock = threading.Lock()


class SaltApiError(Exception):
    """salt-api could not be asked. ``unsure``: what was asked may have been done all the same."""

    def __init__(self, message, status=None, unsure=False):
        super().__init__(message)
        self.status = status
        self.unsure = unsure


def tls_context(ca_pem):
    """A verifying TLS context that trusts the PEM text, or the system's CAs when it is empty."""
    try:
        return ssl.create_default_context(cadata=ca_pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise SaltApiError(
            "The CA certificate on the server's page is not PEM text "
            f"(-----BEGIN CERTIFICATE-----): {error}"
        ) from error


def low(account, lowstate, timeout=TIMEOUT):
    """Have salt-api run ``lowstate`` (a dict, of the runner ``asterisk.job``); return its answer.

    ``timeout``: seconds for all of it, logging in included. A refused token is renewed once.
    """
    deadline = time.monotonic() + timeout
    client = _Client(account, deadline)
    key = _token_key(account)
    with _tokens_lock:
        token = _tokens.get(key)
    fresh = token is None
    if fresh:
        token = _log_in(client, account, key)
    try:
        return _ask(client, token, lowstate)
    except SaltApiError as error:
        if error.status != 401:
            raise
    if not fresh:
        with _tokens_lock:
            _tokens.pop(key, None)
        token = _log_in(client, account, key)
        try:
            return _ask(client, token, lowstate)
        except SaltApiError as error:
            if error.status != 401:
                raise
    raise SaltApiError(
        f"salt-api lets the user {account.user!r} in but refuses {lowstate['fun']}: the access "
        "list under external_auth on the Salt master does not name it",
        401,
    )


def log_in(account, timeout=TIMEOUT):
    """Log in anew; raises :class:`SaltApiError` when that fails."""
    _log_in(_Client(account, time.monotonic() + timeout), account, _token_key(account))


def _token_key(account):
    return hashlib.sha256(json.dumps(account).encode()).hexdigest()


def _log_in(client, account, key):
    client.auth = {}
    try:
        answer = client.req(
            "/login",
            {"username": account.user, "password": account.password, "eauth": account.eauth},
        )
    except SaltApiError as error:
        # Nothing was asked for yet.
        error.unsure = False
        if error.status == 401:
            raise SaltApiError(
                "salt-api answered 401: the user or password on the server's page", 401
            ) from error
        raise
    try:
        token = answer["return"][0]["token"]
    except (KeyError, IndexError, TypeError):
        raise SaltApiError(f"What answers at {account.url} is not salt-api") from None
    with _tokens_lock:
        _tokens[key] = token
    return token


def _ask(client, token, lowstate):
    client.auth = {"token": token}
    answer = client.low([lowstate])
    try:
        result = answer["return"][0]
    except (KeyError, IndexError, TypeError):
        result = None
    if not isinstance(result, dict):
        raise SaltApiError(f"salt-api answered in a form unknown here: {answer!r:.200}")
    if "error" in result:
        raise SaltApiError(result["error"], 200)
    return result


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # Followed, a redirect would carry the token to another host.
    def redirect_request(self, *args, **kwargs):
        return None


class _Connections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens connections that are cut at the deadline, however slowly the other side sends.

    A socket's timeout is for each read, and Python gives each address of a name all of it.
    """

    def __init__(self, context, deadline, stack):
        super().__init__(context=context)
        self.deadline = deadline
        self.stack = stack

    def do_open(self, http_class, request, **options):
        def connection(host, **more):
            made = http_class(host, **more)
            made._create_connection = self._connect
            return made

        return super().do_open(connection, request, **options)

    def _connect(self, address, _timeout, _source):
        count = len(self._resolved(address))
        sock = socket.create_connection(address, max(0.01, self._left() / count))
        sock.settimeout(None)
        # TLS takes the socket over: a handle of its own stays.
        handle = self.stack.enter_context(sock.dup())
        timer = threading.Timer(self._left(), _cut, [handle])
        timer.daemon = True
        timer.start()
        self.stack.callback(timer.cancel)
        return sock

    def _resolved(self, address):
        # In a thread: the system's resolver waits for name servers as long as it likes.
        found = queue.SimpleQueue()

        def look():
            try:
                found.put(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
            except OSError as error:
                found.put(error)

        threading.Thread(target=look, daemon=True).start()
        try:
            answer = found.get(timeout=max(0.01, self._left()))
        except queue.Empty:
            raise socket.timeout("no name server answers") from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _left(self):
        return self.deadline - time.monotonic()


def _cut(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _Client(pepper.Pepper):
    """Pepper with a deadline and a TLS context of its own in place of the process's."""

    def __init__(self, account, deadline):
        super().__init__(account.url)
        self.deadline = deadline
        self.context = tls_context(account.ca)

    def req(self, path, data=None):
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.auth.get("token"):
            headers["X-Auth-Token"] = self.auth["token"]
        request = urllib.request.Request(  # noqa: S310  pepper refuses other schemes
            self._construct_url(path), json.dumps(data).encode(), headers
        )
        self._check_time()
        with contextlib.ExitStack() as stack:
            connections = _Connections(self.context, self.deadline, stack)
            opener = urllib.request.build_opener(connections, _NoRedirect)
            try:
                with opener.open(request) as response:
                    body = self._read(response)
            except urllib.error.HTTPError as error:
                raise SaltApiError(
                    f"salt-api at {self.api_url} answered {error.code}: {_words_of(error)}",
                    error.code,
                ) from error
            except urllib.error.URLError as error:
                raise self._unreached(error.reason) from error
            except (OSError, http.client.HTTPException) as error:
                self._check_time()
                raise SaltApiError(
                    f"The connection to salt-api at {self.api_url} broke: {error}", unsure=True
                ) from error
        # What is cut off may look complete.
        self._check_time()
        try:
            return json.loads(body)
        except ValueError:
            raise SaltApiError(f"What answers at {self.api_url} is not salt-api") from None

    def _read(self, response):
        body = bytearray()
        while True:
            part = response.read1(65536)
            if not part:
                return bytes(body)
            body += part
            if len(body) > MAX_ANSWER:
                raise SaltApiError(f"salt-api at {self.api_url} answered without end", unsure=True)

    def _check_time(self):
        if self._is_late():
            raise self._no_answer()

    def _is_late(self):
        return time.monotonic() >= self.deadline

    def _no_answer(self):
        return SaltApiError(
            f"No answer in time from salt-api at {self.api_url}: is the Salt master up and the "
            "way to it open?",
            unsure=True,
        )

    def _unreached(self, reason):
        """What a request that was not answered failed at, as an error in words."""
        url = self.api_url
        if isinstance(reason, socket.timeout) or self._is_late():
            return SaltApiError(
                f"salt-api at {url} could not be reached in time: is the way to it open?"
            )
        if isinstance(reason, ssl.SSLCertVerificationError):
            return SaltApiError(
                f"The certificate of {url} is not trusted ({reason.verify_message}): put the CA "
                "that signed it on the server's page"
            )
        if isinstance(reason, ssl.SSLError):
            return SaltApiError(f"No TLS with {url}: {reason}")
        if isinstance(reason, socket.gaierror):
            return SaltApiError(
                f"The host name in {url} is unknown: the salt-api address on the server's page"
            )
        if isinstance(reason, ConnectionRefusedError):
            return SaltApiError(f"Nothing listens at {url}: is salt-api running?")
        if isinstance(reason, (ConnectionResetError, BrokenPipeError)):
            return SaltApiError(f"The connection to salt-api at {url} broke", unsure=True)
        return SaltApiError(f"salt-api at {url} could not be reached: {reason}")


def _words_of(error):
    """The first words of an HTTP error's body, on one line."""
    try:
        text = error.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    # CherryPy's error pages are HTML.
    text = re.sub(r"<(style|title)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    return " ".join(text.split())[:300] or error.reason
