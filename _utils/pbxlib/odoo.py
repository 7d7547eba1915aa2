"""
The Odoo client: one method of one model, called over JSON-2 (Odoo 19 on) or JSON-RPC (before).

Which of the two is found out once, by asking for the server's version. Every answer that is not
the method's result is told apart and said in words that name the setting to mend:

=====================  ===========================================================
OdooUnreachable        no connection, its database is away: try again later
OdooBroke              the connection ended without an answer, 5xx: the request may be why
OdooTimeout            the read timed out: the request may still be running
OdooTooLarge           413: a proxy refuses a body of this size
OdooRefused            401, 403, 404, 422, their names in JSON-RPC, a certificate that is not
                       trusted: a setting is wrong
OdooFailed             the method itself raised, whatever the status: Odoo's error name and message
OdooConflict           the same, but what it raised is a conflict between transactions
=====================  ===========================================================

Sources: Odoo 19 ``odoo/addons/rpc/controllers/json2.py``; Odoo 14 ``odoo/http.py``.
"""

from __future__ import annotations

import json
import re
import ssl

import urllib3

from pbxlib.errors import (
    OdooBroke,
    OdooConflict,
    OdooFailed,
    OdooRefused,
    OdooTimeout,
    OdooTooLarge,
    OdooUnreachable,
)
from pbxlib.plain import assembled

_JSON2_SINCE = 19
_ERRORS_OF_SETTINGS = {
    "odoo.exceptions.AccessDenied": "the login or API key is wrong: see asterisk:odoo:login and "
    "asterisk:odoo:api_key",
    "odoo.exceptions.AccessError": "the login of asterisk:odoo:login lacks the right: it must be "
    "in the group Phone: Agent of a PBX",
}

_CONFLICTS = (
    "ConcurrencyError",
    "DeadlockDetected",
    "LockNotAvailable",
    "SerializationFailure",
    "TransactionRollbackError",
)


class Client:
    """A connection to one Odoo database as one user.

    ``settings``: the resolved section ``odoo`` (see :mod:`pbxlib.settings`). TLS is verified
    against the system's authorities, or those in ``ca_file``.
    """

    def __init__(self, settings):
        missing = [key for key in ("url", "database", "login", "api_key") if not settings[key]]
        if missing:
            raise OdooRefused(
                "Odoo is not set up: the pillar lacks "
                + ", ".join(f"asterisk:odoo:{key}" for key in missing)
            )
        self._settings = settings
        self._api = None if settings["api"] == "auto" else settings["api"]
        self._uid = None
        try:
            context = ssl.create_default_context(cafile=settings["ca_file"])
        except OSError as error:
            raise OdooRefused(
                f"asterisk:odoo:ca_file {settings['ca_file']} cannot be read: {error}"
            ) from error
        self._pool = urllib3.PoolManager(
            maxsize=1,
            ssl_context=context,
            retries=False,
            timeout=urllib3.Timeout(
                connect=settings["connect_timeout"], read=settings["read_timeout"]
            ),
        )

    def close(self):
        self._pool.clear()

    def call(self, model, method, **arguments):
        """The result of ``model.method(**arguments)``: any JSON value. Raises as above.

        An argument may be JSON text: an :class:`~pbxlib.plain.Encoded`.
        """
        if self._api is None:
            self._api = self._find_api()
        if self._api == "json2":
            return self._json2(model, method, arguments)
        return self._execute_kw(model, method, arguments)

    def _find_api(self):
        status, body = self._post(
            "/jsonrpc", _rpc("common", "version", []), {"Content-Type": "application/json"}
        )
        if status == 404:
            return "json2"  # an Odoo that has dropped JSON-RPC
        if status != 200:
            self._check_status(status, body, "/jsonrpc")
        try:
            version = _json(body)["result"]["server_version_info"][0]
            # Odoo online says 'saas~19'.
            number = int(str(version).rsplit("~", 1)[-1].split(".")[0])
        except (KeyError, IndexError, TypeError, ValueError):
            raise OdooRefused(
                f"{self._where()} does not tell its version: is asterisk:odoo:url an Odoo?"
            ) from None
        return "json2" if number >= _JSON2_SINCE else "jsonrpc"

    def _json2(self, model, method, arguments):
        path = f"/json/2/{model}/{method}"
        status, body = self._post(
            path,
            arguments,
            {
                "Content-Type": "application/json",
                "Authorization": f"bearer {self._settings['api_key']}",
                "X-Odoo-Database": self._settings["database"],
            },
        )
        if status == 200:
            return _json(body)
        self._check_status(status, body, path)

    def _execute_kw(self, model, method, arguments):
        database, key = self._settings["database"], self._settings["api_key"]
        if self._uid is None:
            login = [database, self._settings["login"], key, {}]
            self._uid = self._jsonrpc("common", "authenticate", login)
            if not self._uid:
                raise OdooRefused(
                    f"{self._where()} refused the login {self._settings['login']!r}: "
                    + _ERRORS_OF_SETTINGS["odoo.exceptions.AccessDenied"]
                )
        return self._jsonrpc(
            "object", "execute_kw", [database, self._uid, key, model, method, [], arguments]
        )

    def _jsonrpc(self, service, method, arguments):
        status, body = self._post(
            "/jsonrpc", _rpc(service, method, arguments), {"Content-Type": "application/json"}
        )
        if status != 200:
            self._check_status(status, body, "/jsonrpc")
        answer = _json(body)
        if not isinstance(answer, dict):
            raise OdooUnreachable(f"{self._where()} answered something other than JSON-RPC")
        error = answer.get("error")
        if error:
            self._raise_named(error.get("data") or error if isinstance(error, dict) else {})
        return answer.get("result")

    def _post(self, path, payload, headers):
        url = self._settings["url"] + path
        try:
            response = self._pool.request(
                "POST", url, body=assembled(payload).encode(), headers=headers, redirect=False
            )
        except urllib3.exceptions.ReadTimeoutError:
            raise OdooTimeout(
                f"{self._where()} did not answer within {self._settings['read_timeout']:g} s "
                "(asterisk:odoo:read_timeout)"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = _reason(error)
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                raise OdooRefused(
                    f"{self._where()} shows a certificate that is not trusted: name its authority "
                    f"in asterisk:odoo:ca_file ({reason})"
                ) from None
            if isinstance(error, urllib3.exceptions.ProtocolError):
                raise OdooBroke(f"{self._where()} broke off: {reason}") from None
            raise OdooUnreachable(f"{self._where()} cannot be reached: {reason}") from None
        return response.status, response.data

    def _check_status(self, status, body, path):
        """Raise what an HTTP status other than 200 means."""
        where = self._where()
        if status == 404 and self._settings["api"] == "auto":
            # A proxy whose Odoo is away may say so too, and be taken for one that has JSON-2 alone.
            self._api = None
        if status == 413:
            raise OdooTooLarge(f"{where} refuses a request of this size: see its proxy's limit")
        if status >= 500 and b'"name"' not in body:
            raise OdooBroke(f"{where} answered {status}")
        if 300 <= status < 400:
            raise OdooRefused(
                f"{where} redirects {path}: write the address it redirects to in asterisk:odoo:url"
            )
        try:
            error = _json(body)
        except OdooUnreachable:
            error = None
        name = str(error.get("name") or "") if isinstance(error, dict) else ""
        if status == 401:
            raise OdooRefused(
                f"{where} answered 401: the API key in asterisk:odoo:api_key is wrong"
            )
        # JSON-2 gives a method's own error the status of its class, and what it refuses itself a
        # name of werkzeug's.
        if name and not name.startswith("werkzeug.") and name not in _ERRORS_OF_SETTINGS:
            self._raise_named(error)
        if status == 404 and error is None:
            raise OdooRefused(
                f"{where} answered 404: there is no database {self._database_hint()}, or "
                "asterisk:odoo:url is not an Odoo"
            )
        if status == 404:
            raise OdooRefused(
                f"{where} answered 404: {_said(error)}. Is the addon asterisk_plus installed?"
            )
        if status == 403:
            raise OdooRefused(
                f"{where} answered 403: "
                + _ERRORS_OF_SETTINGS["odoo.exceptions.AccessError"]
                + f" ({_said(error)})"
            )
        if status == 422:
            raise OdooRefused(
                f"{where} answered 422: {_said(error)}. The addon asterisk_plus in Odoo and the "
                "formula on this PBX are of different versions"
            )
        if name:
            self._raise_named(error)
        raise OdooUnreachable(f"{where} answered {status}")

    def _raise_named(self, error):
        name = error.get("name") or "an error without a name"
        if name in _ERRORS_OF_SETTINGS:
            self._uid = None  # a restored database may know the login under another number
            raise OdooRefused(f"{self._where()}: {_ERRORS_OF_SETTINGS[name]} ({_said(error)})")
        if "OperationalError" in name and "does not exist" in _said(error):
            raise OdooRefused(f"{self._where()} has no such database: {self._database_hint()}")
        if name.rpartition(".")[2] in _CONFLICTS:
            raise OdooConflict(f"{self._where()} was too busy for it, {name}: {_said(error)}")
        if "OperationalError" in name or "InterfaceError" in name:
            raise OdooUnreachable(f"{self._where()}: its database does not answer: {_said(error)}")
        raise OdooFailed(f"{self._where()} failed with {name}: {_said(error)}")

    def _database_hint(self):
        return f"{self._settings['database']!r} (asterisk:odoo:database)"

    def _where(self):
        return f"Odoo at {self._settings['url']}"


def _rpc(service, method, arguments):
    return {
        "jsonrpc": "2.0",
        "method": "call",
        "id": 1,
        "params": {"service": service, "method": method, "args": arguments},
    }


def _json(body):
    try:
        return json.loads(body)
    except ValueError:
        raise OdooUnreachable("Odoo's answer is not JSON: is a proxy in between?") from None


def _said(error):
    message = error.get("message") if isinstance(error, dict) else error
    lines = str(message or "").strip().splitlines()
    return lines[0][:300] if lines else "no reason given"


def _reason(error):
    """The innermost words of urllib3's nested errors, the same each time for the same trouble."""
    nested = error
    while nested is not None:
        error = nested
        inside = (getattr(error, "reason", None), *reversed(error.args))
        nested = next((part for part in inside if isinstance(part, Exception)), None)
    words = [part for part in error.args if isinstance(part, str)]
    # urllib3 begins with the object: "<…HTTPConnection object at 0x7f…>: ", "HTTPConnection(…): ".
    reason = re.sub(r"^(<[^>]*>|HTTPS?Connection\(.*?\)): ", "", words[-1] if words else str(error))
    return reason or type(error).__name__
