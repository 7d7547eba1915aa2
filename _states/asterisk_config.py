"""
Sections and keys of a .conf file that somebody else owns otherwise: a person, a package, a GUI.

The rest of the file stays as it is, comments and order too. Where a file may have several
sections of one name, as pjsip.conf has, the ``type`` in a section's body says which is meant.

.. code-block:: yaml

    queues-keep-their-members:
      asterisk.config:
        - name: /etc/asterisk/queues.conf
        - sections:
            general:
              persistentmembers: true
"""

from __future__ import annotations

import difflib
import os
import tempfile

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib.conf import Conf
    from pbxlib.errors import ConfError

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"


def __virtual__():
    return (False, f"{MISSING}: run saltutil.sync_all") if MISSING else __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def config(name, sections=None, absent=None, show_changes=True):
    """
    A .conf file has these sections and keys, and has not those. Changes are the difference.

    Put it in force with ``asterisk.reloaded`` and ``onchanges``.

    name
        The file. One that is not there is made, of mode 0640 and its folder's owner.

    sections
        Section -> key -> value, or a list of such mappings where a name comes twice. true and
        false become yes and no, a list repeats its key, null takes the key away. A section is
        ``name``, or ``name(options)`` for one that has these options: then a new one gets them.

    absent
        Sections to take away: a list of names, or a mapping of a section to a list of keys, to
        ``{type: …}``, or to null.

    show_changes: True
        Whether the difference is shown. Set it to false where values are secret.

    .. code-block:: yaml

        phone-of-ada:
          asterisk.config:
            - name: /etc/asterisk/pjsip.conf
            - show_changes: false
            - sections:
                - '101(phone)': {type: endpoint, callerid: Ada <101>, allow: [g722, ulaw]}
                - '101': {type: auth, password: something long}
            - absent:
                '102': {type: auth}
                phone: [direct_media]
    """
    try:
        before, conf = _read(name)
        _edit(conf, sections, absent)
        after = str(conf)
        # A section that others inherit from, gone: Asterisk would not take the file any more.
        broken = [fault for fault in conf.faults if fault.fatal]
        known = {fault.text for fault in Conf(before).unresolved()}
        broken += [fault for fault in conf.unresolved() if fault.text not in known]
        if broken:
            lines = "\n".join(f"{name}, line {fault.line}: {fault.text}" for fault in broken)
            return _ret(name, False, f"Asterisk would not read the file:\n{lines}")
        if after == before:
            return _ret(name, True, f"{name} is as it should be")
        changes = {"diff": _diff(name, before, after) if show_changes else "(hidden)"}
        if __opts__["test"]:
            return _ret(name, None, f"{name} would be changed", changes)
        _write(name, after)
    except (ConfError, OSError) as error:
        return _ret(name, False, f"{name}: {error}")
    return _ret(name, True, f"{name} was changed", changes)


def _read(path):
    """``(text, Conf)`` of a file; bytes that are no UTF-8 are carried through."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        text = ""
    return text, Conf(text)


def _edit(conf, sections, absent):
    for section, body in _pairs(sections, "sections"):
        if not isinstance(body, dict):
            raise ConfError(f"sections: {section}: write a mapping of keys to values")
        kind = _texts(section, "type", body["type"])[0] if body.get("type") else None
        if not conf.find(section, kind):
            conf.add(section, kind)
        for key, value in body.items():
            conf.set(section, str(key), _texts(section, key, value), kind)
    for section, what in _pairs(absent, "absent"):
        if isinstance(what, list):
            for key in what:
                conf.remove(section, str(key))
        elif what is None:
            while conf.remove(section):
                pass
        elif isinstance(what, dict) and set(what) == {"type"}:
            conf.remove(section, type_=_texts(section, "type", what["type"])[0])
        else:
            raise ConfError(f"absent: {section}: write a list of its keys, {{type: …}} or null")


def _pairs(given, where):
    """``(section, body)`` out of a mapping, a list of mappings, or a list of names."""
    if given is None:
        return
    for item in given if isinstance(given, list) else [given]:
        if isinstance(item, dict):
            for section, body in item.items():
                yield str(section), body
        elif where == "absent" and isinstance(given, list) and item is not None:
            yield str(item), None
        else:
            raise ConfError(f"{where}: write a mapping of sections, or a list of such mappings")


def _texts(section, key, value):
    """The values of a key as texts, as YAML means them."""
    if value is None:
        return []
    if isinstance(value, dict):
        raise ConfError(f"{section}: {key}: a mapping has no form in a .conf file")
    values = [v for v in value if v is not None] if isinstance(value, list) else [value]
    return [{True: "yes", False: "no"}[v] if isinstance(v, bool) else str(v) for v in values]


def _diff(name, before, after):
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
    return "\n".join(lines).encode("utf-8", "replace").decode()


def _write(path, text):
    """Whole or not at all, with the owner and mode that the file has."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    try:
        old = os.stat(path)
        mode = old.st_mode & 0o7777
    except FileNotFoundError:
        old, mode = os.stat(folder), 0o640
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=".salt-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
