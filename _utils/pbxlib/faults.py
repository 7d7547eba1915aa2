"""
What is wrong in a configuration, and where in the pillar a person finds it.

A :class:`Fault` knows the line of the file that would be written; :func:`pillar_path` tells what in
the pillar key ``asterisk`` that line was made of.
"""

from __future__ import annotations

from typing import NamedTuple

from pbxlib.confset import Place

# What accounts.jinja adds to the template's name for what belongs to an endpoint.
_PARTS = ("auth", "aor", "registration", "identify")


class Fault(NamedTuple):
    """``place``: a :class:`~pbxlib.confset.Place` or ``None``; ``text``: one line."""

    place: Place
    text: str


def locate(conf, line):
    """``(section, setting)`` at a line of a :class:`~pbxlib.conf.Conf`; each ``None`` for none."""
    section = None
    for candidate in conf.sections:
        if candidate.line > line:
            break
        section = candidate
    settings = section.settings if section else ()
    return section, next((setting for setting in settings if setting.line == line), None)


def pillar_path(file, section, key=None, pillar=None):
    """Where in the pillar a section of a file, or its ``key``, was written.

    ``section``: a :class:`~pbxlib.conf.Section` or ``None``. ``pillar``: the value of the key
    ``asterisk``. A text such as ``asterisk:config:pjsip.conf:101(phone):auth``.
    """
    path = f"asterisk:config:{file}"
    if section is not None:
        options = f"({section.options})" if section.options else ""
        path = _made_path(file, section, pillar or {}) or f"{path}:{section.name}{options}"
    return f"{path}:{key}" if key else path


def _made_path(file, section, pillar):
    """The path of a section that the formula makes itself, ``None`` for any other."""
    account = (pillar.get("ami") or {}).get("username", "salt")
    if file.startswith("manager") and section.name == account:
        return "asterisk:ami"
    endpoints = {str(name): given for name, given in (pillar.get("endpoints") or {}).items()}
    if file != "pjsip.conf" or section.name not in endpoints:
        return None
    path = f"asterisk:endpoints:{section.name}"
    template = (endpoints[section.name] or {}).get("template", "phone")
    if section.options == template:
        return path
    for part in _PARTS:
        if section.options == f"{template}-{part}":
            return f"{path}:{part}"
    return None


def told(faults, confset, pillar, files=None):
    """One line for each fault, by its pillar's path; with ``files`` for those in these files only.

    ``confset``: the :class:`~pbxlib.confset.ConfSet` that ``faults`` are about.
    """
    lines = []
    for fault in faults:
        if fault.place is None:
            line = f"asterisk:config: {fault.text}"
        elif files is not None and fault.place.file not in files:
            continue
        else:
            section, setting = locate(confset.alone(fault.place.file), fault.place.line)
            key = setting.key if setting else None
            line = f"{pillar_path(fault.place.file, section, key, pillar)}: {fault.text}"
        lines.append(line)
    return list(dict.fromkeys(lines))
