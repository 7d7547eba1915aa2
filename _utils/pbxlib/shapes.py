"""
What ``asterisk:config`` and ``asterisk:endpoints`` are made of, checked before anything is written.

Only the form is looked at: what a key means is Asterisk's to say. Values are never shown, since
they may be secret.
"""

from __future__ import annotations

from pbxlib import keyfile

# What belongs to an endpoint, each with the keys of its own section.
_PARTS = ("auth", "aor", "registration", "identify")
# Salt's pillar has types of its own that are made of these. bool is an int: it comes first.
_WORDS = (
    (bool, "true or false"),
    (str, "a text"),
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "a mapping"),
)


def problems(settings):
    """Lines for what has no form in a .conf file; ``settings`` is what the pillar gives."""
    for file, content in settings["config"].items():
        path = f"asterisk:config:{file}"
        if not isinstance(file, str) or file.startswith("/") or ".." in file.split("/"):
            yield f"{path}: it is not the name of a file below the folder asterisk:etc"
            continue
        yield from _sections(content, path)
    for name, body in settings["endpoints"].items():
        yield from _endpoint(name, body, f"asterisk:endpoints:{name}")
    beside = settings["install"]["method"] == "none"
    if beside and settings["endpoints"] and not settings["config"].get("pjsip.conf"):
        yield (
            "asterisk:endpoints: with install:method none pjsip.conf is somebody else's: add the "
            "endpoints there, or give the formula the file by asterisk:config:pjsip.conf"
        )


def is_a(value):
    """``it is a list`` and the like, of a value that should be something else."""
    for kind, word in _WORDS:
        if isinstance(value, kind):
            return f"it is {word}"
    return f"it is a {type(value).__name__}"


def _sections(content, path):
    if isinstance(content, dict):
        for name, body in content.items():
            yield from _lines(body, f"{path}:{name}")
    elif isinstance(content, list):
        for item in content:
            if not isinstance(item, str):
                yield from _sections(item if isinstance(item, dict) else 0, path)
    elif content is not None:
        yield f"{path}: {is_a(content)}, not sections: write a mapping of section to its keys"


def _lines(body, path):
    for item in body if isinstance(body, list) else [body]:
        if not (item is None or isinstance(item, (dict, str))):
            yield f"{path}: {is_a(item)}, not a mapping of keys to values"


def _endpoint(name, body, path):
    if name is None or isinstance(name, bool):
        yield f"{path}: YAML has a meaning of its own for this name: put it in quotes"
        return
    if not (body is None or isinstance(body, dict)):
        yield f"{path}: {is_a(body)}, not a mapping of keys to values"
        return
    body = body or {}
    parts = {key: body[key] for key in _PARTS if body.get(key) is not None}
    for key, part in parts.items():
        if not isinstance(part, dict):
            yield f"{path}:{key}: {is_a(part)}, not a mapping of keys to values"
            return
    for key, right in (("username", (str, int, type(None))), ("password", (str, type(None)))):
        value = parts.get("auth", {}).get(key)
        if not isinstance(value, right) or isinstance(value, bool):
            # Nobody can tell 123 from an 0123 that YAML has shortened, nor see it of a password.
            yield f"{path}:auth:{key}: it is not text, YAML may have changed it: put it in quotes"
            return
    trunk = "registration" in parts or "identify" in parts
    given = trunk or parts.get("auth", {}).get("password")
    if not given and not keyfile.can_name(f"endpoint-{name}"):
        yield (
            f"{path}:auth:password: it is not set, and for a name with other letters than "
            "A-Z, a-z, 0-9, . _ and - none is generated"
        )
