"""
Which PJSIP transports Asterisk has not in force, though its file has them.

Asterisk reads a transport when it starts; a reload takes new ones only, unless ``allow_reload``
is set, and a removed one goes on listening. Asterisk cannot be asked for all of it, so what it
started with is kept in a record: the file's sections as hashes, since TLS keys have passwords.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile

from pbxlib.confset import ConfSet, on_disk

KINDS = ("transport", "system")
# Asterisk, 16 too, takes these at a reload: all of a transport but protocol, bind, TLS, TCP, ToS
# and CoS, as its log says.
RELOADED = (
    "domain",
    "external_media_address",
    "external_signaling_address",
    "external_signaling_port",
    "local_net",
)
TRUE = ("yes", "true", "y", "t", "1", "on")
# How far apart (s) two readings of one start may be.
SLACK = 5


def sections(conf):
    """``type name`` -> hash of its settings, for what a reload may not put in force."""
    found = {}
    for section in conf.effective():
        kind = (section.get("type") or "").lower()
        if section.template or kind not in KINDS:
            continue
        if kind == "transport" and (section.get("allow_reload") or "").lower() in TRUE:
            continue
        keys = {setting.key.lower() for setting in section.settings}
        if kind == "transport":
            keys -= set(RELOADED)
        settings = [(key, section.values(key)) for key in sorted(keys)]
        digest = hashlib.sha256(json.dumps(settings).encode("utf-8", "surrogateescape"))
        found[f"{kind} {section.name}"] = digest.hexdigest()
    return found


def differ(path, record, began, keep=True):
    """The sections of the .conf file ``path``, and of what it includes, that need a restart: a
    sorted list of ``type name``.

    ``record`` is the file of what Asterisk, which started at ``began`` (epoch seconds), runs
    with; it is written anew unless ``keep`` is false. Raises ``OSError``.
    """
    etc, name = os.path.split(path)
    loaded = ConfSet(on_disk(etc), etc).load(name)
    now = sections(loaded.conf)
    files = {os.path.join(etc, place.file) for place in loaded.origins}
    written = max((os.stat(file).st_mtime for file in files if os.path.exists(file)), default=began)
    known = _load(record)
    # Asterisk tells its uptime in whole seconds.
    same_since = written <= began - 1
    if known and abs(known["began"] - began) <= SLACK:
        running = known["running"]
    elif same_since:
        running = now
    elif known:
        # Changed after a start that nobody noted: it started with what was there before.
        running = known["seen"]
    else:
        running = dict.fromkeys(now)
    names = [name for name in running if running[name] != now.get(name)]
    for name, digest in now.items():
        if name not in running:
            # A new transport works after a reload, and is one that runs from then on.
            if name.startswith("transport "):
                running = {**running, name: digest}
            else:
                names.append(name)
    if keep:
        _save(record, {"began": began, "running": running, "seen": now})
    return sorted(names)


def restarted(record):
    """Note in the file ``record`` that Asterisk was restarted, with what was seen last.

    Two starts within seconds cannot be told apart by when Asterisk began. Raises ``OSError``.
    """
    known = _load(record)
    if known:
        _save(record, {**known, "began": 0})


def _load(record):
    try:
        with open(record, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _save(record, content):
    os.makedirs(os.path.dirname(record), mode=0o700, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=os.path.dirname(record), prefix=".transports-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(draft, record)
