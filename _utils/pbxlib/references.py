"""
What a configuration refers to and does not have, by Asterisk's own names; no I/O.

Asterisk takes a file whose endpoint names an auth, or whose dialplan names a queue, that is not
there, and says so, if at all, when a call comes. :func:`faults` says it before. What holds a
variable (``${``) is known to Asterisk alone and left out, and so is what can come from elsewhere:
a database (``sorcery.conf``, ``extconfig.conf``), ``pjsip_wizard.conf``, AEL or Lua.
"""

from __future__ import annotations

import difflib
import re

from pbxlib import dialplan
from pbxlib.confset import Place
from pbxlib.faults import Fault

# Of res_pjsip and the modules around it, Asterisk 16 to 22.
_TYPES = {
    *("endpoint", "auth", "aor", "transport", "registration", "identify", "acl", "contact"),
    *("domain_alias", "global", "system", "resource_list", "subscription_persistence"),
    *("outbound-publish", "inbound-publication", "asterisk-publication", "phoneprov"),
}
# type of section -> key -> type that it names, one or a list with commas.
_NAMES = {
    "endpoint": {
        "auth": "auth",
        "outbound_auth": "auth",
        "aors": "aor",
        "transport": "transport",
    },
    "registration": {"transport": "transport", "outbound_auth": "auth", "endpoint": "endpoint"},
    "identify": {"endpoint": "endpoint"},
    "outbound-publish": {"transport": "transport", "outbound_auth": "auth"},
}
_PARENT = re.compile(r"there is no section (.+) above")
# What pjsip_wizard.conf makes of a section, by the suffix of its name.
_WIZARD = {
    "endpoint": ("",),
    "aor": ("",),
    "auth": ("-iauth", "-oauth"),
}


def faults(confset):
    """Every :class:`~pbxlib.faults.Fault` of a :class:`~pbxlib.confset.ConfSet`, a list."""
    files = [file for file in sorted(confset.texts) if file.endswith(".conf")]
    included = {p.file for f in files for p in confset.load(f).origins if p.file != f}
    found = []
    for file in files:
        found += _written(confset, file, file in included)
    sip = _Sip(confset)
    plan = dialplan.Dialplan(confset)
    found += sip.faults(plan)
    found += _of_queues(confset, sip, plan)
    found += _of_dialplan(confset, sip, plan)
    return found


def near(name, known):
    """`` (did you mean 'x'?)``, or nothing when no known name is like ``name``."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _written(confset, file, included):
    """What Asterisk cannot read in a file by itself: brackets, directives, templates, includes.

    ``included``: another file includes this one, and has what stands around it.
    """
    for fault in confset.alone(file).faults:
        if not (included and "before the first section" in fault.text):
            yield Fault(Place(file, fault.line), fault.text)
    loaded = confset.load(file)
    for place, pattern in loaded.lost:
        yield Fault(place, f"#include {pattern}: there is no such file")
    if not included:
        names = {section.name for section in loaded.conf.sections}
        for fault in loaded.conf.unresolved():
            wanted = _PARENT.search(fault.text)
            hint = near(wanted[1], names) if wanted else ""
            yield Fault(loaded.place(fault.line), fault.text + hint)


class _Sip:
    """The objects of pjsip.conf: ``names`` of each type; of an ``open`` one there may be others."""

    def __init__(self, confset):
        self._loaded = confset.load("pjsip.conf")
        self._sections = [s for s in self._loaded.conf.effective() if not s.template]
        self.names = {kind: set() for kind in _TYPES}
        # Without its template a section may be anything.
        self._unclear = {fault.line for fault in self._loaded.conf.unresolved()}
        for section in self._sections:
            kinds = _TYPES if section.line in self._unclear else {section.get("type")} & _TYPES
            for kind in kinds:
                self.names[kind].add(section.name)
        for section in confset.load("pjsip_wizard.conf").conf.effective():
            for kind, suffixes in _WIZARD.items():
                self.names[kind].update(section.name + suffix for suffix in suffixes)
        # By res_sorcery's mapping, or generated for phones: they may be in no file.
        mapped = confset.load("sorcery.conf").conf.effective()
        self.open = {
            setting.key.partition("/")[0]
            for section in mapped
            if section.name.startswith("res_pjsip")
            for setting in section.settings
        }

    def lacks(self, kind, name):
        """Whether no object of this type has the name, as far as files can tell."""
        return kind not in self.open and "${" not in name and name not in self.names[kind]

    def near(self, kind, name):
        return near(name, self.names[kind])

    def faults(self, plan):
        seen = set()
        for section in self._sections:
            kind = section.get("type")
            if kind not in _TYPES:
                if section.line not in self._unclear:
                    yield self._of_type(section, kind)
                continue
            if (kind, section.name) in seen:
                yield self._fault(
                    section.line, f"there is another section {section.name} with type = {kind}"
                )
            seen.add((kind, section.name))
            yield from self._of_names(section, kind)
            if kind == "endpoint":
                yield from self._of_contexts(section, plan)

    def _fault(self, line, text):
        return Fault(self._loaded.place(line), text)

    def _of_type(self, section, kind):
        for setting in section.settings:
            if setting.key == "type":
                close = near(kind, _TYPES)
                return self._fault(setting.line, f"there is no type {kind!r} of section{close}")
        return self._fault(section.line, "it has no type, so Asterisk leaves it out")

    def _of_names(self, section, kind):
        for key, wanted in _NAMES.get(kind, {}).items():
            for setting in section.settings:
                if setting.key != key:
                    continue
                for name in filter(None, (one.strip() for one in setting.value.split(","))):
                    if self.lacks(wanted, name):
                        yield self._fault(
                            setting.line, f"there is no {wanted} {name!r}{self.near(wanted, name)}"
                        )

    def _of_contexts(self, section, plan):
        for key in ("context", "message_context", "subscribe_context"):
            for setting in section.settings:
                if setting.key == key and plan.lacks(setting.value):
                    yield self._fault(setting.line, _no_context(setting.value, plan))


def _no_context(name, plan):
    return f"there is no context {name!r}{near(name, plan.names)}"


def _of_queues(confset, sip, plan):
    loaded = confset.load("queues.conf")
    for section in loaded.conf.effective():
        if section.template or section.name == "general":
            continue
        for setting in section.settings:
            if setting.key == "member":
                interface = setting.value.split(",")[0]
                text = _of_interface(interface, sip, plan)
            elif setting.key == "context" and plan.lacks(setting.value):
                text = _no_context(setting.value, plan)
            else:
                continue
            if text:
                yield Fault(loaded.place(setting.line), text)


def _of_interface(interface, sip, plan):
    """What is wrong with ``PJSIP/…`` or ``Local/…``, ``None`` for nothing."""
    technology, _, rest = interface.strip().partition("/")
    if "${" in interface:
        return None
    if technology.upper() == "PJSIP":
        # PJSIP/endpoint, PJSIP/endpoint/sip:uri, PJSIP/number@endpoint
        name = rest.split("/")[0].rpartition("@")[2]
        if name and sip.lacks("endpoint", name):
            return f"{interface}: there is no endpoint {name!r}{sip.near('endpoint', name)}"
    elif technology.lower() == "local" and "@" in rest:
        context = rest.partition("@")[2].split("/")[0]
        if plan.lacks(context):
            return f"{interface}: {_no_context(context, plan)}"
    return None


def _of_dialplan(confset, sip, plan):
    queues, realtime = _queue_names(confset)
    for step in plan.repeated:
        yield Fault(
            plan.place(step.line),
            f"{step.exten},{step.priority}: the context has this extension and priority already",
        )
    for line, context in plan.includes:
        if plan.lacks(context):
            yield Fault(plan.place(line), _no_context(context, plan))
    for step in plan.steps:
        at, what = plan.place(step.line), f"{step.exten},{step.priority},{step.application}"
        for context in dialplan.targets(step):
            if plan.lacks(context):
                yield Fault(at, f"{what}: {_no_context(context, plan)}")
        if step.application.lower() == "queue" and not realtime:
            name = step.arguments.split(",")[0].strip()
            if name and "${" not in name and name not in queues:
                yield Fault(at, f"{what}: queues.conf has no queue {name!r}{near(name, queues)}")
        if step.application.lower() == "dial":
            for interface in step.arguments.split(",")[0].split("&"):
                text = _of_interface(interface, sip, plan)
                if text:
                    yield Fault(at, f"{what}: {text}")


def _queue_names(confset):
    """Names of the queues in files, and whether a database may have others."""
    sections = confset.load("queues.conf").conf.effective()
    names = {section.name for section in sections if not section.template} - {"general"}
    tables = confset.load("extconfig.conf").conf.effective()
    return names, any(setting.key == "queues" for table in tables for setting in table.settings)
