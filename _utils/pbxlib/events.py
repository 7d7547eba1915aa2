"""
The event map: which events are worth Odoo's time, and which of its methods they go to.

A map is what the pillar keys ``asterisk:events`` and ``asterisk:bus_events`` hold::

    Cdr:                                      # AMI event name, or the glob of a bus tag
      - model: asterisk_plus.call             # both, or neither: matched for the bus only
        method: create_cdrs
        batch: true                           # the handler takes a list of events
        condition: "event.Disposition == 'ANSWERED'"
        delay: 0.5                            # seconds to wait before it is sent
        keep: forever                         # how long it is worth delivering
        latest_by: Uniqueid                   # while it waits, only the newest of each value
        fields: [Source, Destination]         # what to send; all if left out
        enabled: true

A condition is one Jinja2 expression over ``event``. It is written by people who may put records
into Odoo, and runs on a PBX, so what it may say is a short list: comparisons, logic, literals,
the event's headers, and methods and filters whose cost does not exceed their input.
"""

from __future__ import annotations

import collections
import fnmatch
import logging

from jinja2 import TemplateError, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pbxlib.errors import SettingsError
from pbxlib.filters import NAME
from pbxlib.settings import duration

log = logging.getLogger(__name__)

ROUTE_KEYS = (
    "model",
    "method",
    "batch",
    "condition",
    "delay",
    "keep",
    "latest_by",
    "fields",
    "enabled",
)
MAX_CONDITION = 1000
MAX_DEPTH = 40
_METHODS = {"startswith", "endswith", "lower", "upper", "strip", "get", "isdigit", "isalpha"}
_FILTERS = {"int", "float", "length", "lower", "upper", "trim", "default", "d", "string"}
_TESTS = {"defined", "undefined", "none", "in", "eq", "ne", "lt", "le", "gt", "ge", "string"}
_NODES = (
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.Const,
    nodes.Tuple,
    nodes.List,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Call,
    nodes.Filter,
    nodes.Test,
    nodes.Neg,
    nodes.CondExpr,
)
_jinja = ImmutableSandboxedEnvironment()


def compile_condition(source):
    """A function of one event (a dict) for the Jinja2 expression ``source``.

    Raises ``ValueError`` for what does not parse or is not on the list of what may be said.
    """
    if not isinstance(source, str):
        raise ValueError(f"{source!r} is not an expression: put it in quotes")
    if len(source) > MAX_CONDITION:
        raise ValueError(f"it is longer than {MAX_CONDITION} characters")
    try:
        parser = Parser(_jinja, source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError("it does not parse: it must be one expression")
        _refuse_unlisted(tree)
        # None instead of Undefined would hide a misspelt header in a comparison of two.
        return _jinja.compile_expression(source, undefined_to_none=False)
    except TemplateError as error:
        raise ValueError(f"it does not parse: {error}") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise ValueError("it is nested too deeply") from None


def _refuse_unlisted(node, depth=0):
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if not isinstance(node, _NODES):
        raise ValueError(f"{type(node).__name__} may not be used in a condition")
    if isinstance(node, nodes.Name) and node.name != "event":
        raise ValueError(f"{node.name!r} is unknown: only 'event' is in scope")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise ValueError(f"{node.attr!r} may not be used in a condition")
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise ValueError(f"the filter {node.name!r} may not be used in a condition")
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise ValueError(f"the test {node.name!r} may not be used in a condition")
    if isinstance(node, nodes.Call):
        called = node.node
        if not isinstance(called, nodes.Getattr) or called.attr not in _METHODS:
            raise ValueError(f"only these may be called: {', '.join(sorted(_METHODS))}")
        if node.dyn_args or node.dyn_kwargs:
            raise ValueError("* and ** may not be used in a condition")
    for child in node.iter_child_nodes():
        _refuse_unlisted(child, depth + 1)


class Route:
    """One line of the map, compiled. ``keep`` is seconds or ``None`` for ever."""

    __slots__ = (
        "batch",
        "condition",
        "delay",
        "enabled",
        "failures",
        "fields",
        "keep",
        "latest_by",
        "method",
        "model",
        "path",
    )

    def __init__(self, spec, path, default_keep, problems):
        self.path = path
        self.failures = 0
        self.condition = None
        spec = self._checked(spec, problems)
        self.model = spec.get("model")
        self.method = spec.get("method")
        self.batch = spec.get("batch", False)
        self.latest_by = spec.get("latest_by")
        self.fields = spec.get("fields")
        self.enabled = spec.get("enabled", True)
        self.delay = 0.0
        self.keep = default_keep
        for key, convert in (
            ("delay", duration),
            ("keep", duration),
            ("condition", compile_condition),
        ):
            if spec.get(key) in (None, ""):
                continue
            try:
                setattr(self, key, convert(spec[key]))
            except ValueError as error:
                problems.append(f"{path}:{key}: {error}")
        if self.delay is None:
            problems.append(f"{path}:delay: 'forever' would never send it: write seconds")

    def _checked(self, spec, problems):
        if not isinstance(spec, dict):
            problems.append(f"{self.path}: {spec!r} is not a route: write model, method, …")
            return {}
        for key in spec:
            if key not in ROUTE_KEYS:
                problems.append(
                    f"{self.path}:{key}: there is no such setting; known: {', '.join(ROUTE_KEYS)}"
                )
        if bool(spec.get("model")) != bool(spec.get("method")):
            problems.append(f"{self.path}: give model and method both, or neither for the bus only")
        for key, kind, words in (
            ("model", str, "the name of an Odoo model"),
            ("method", str, "the name of a method"),
            ("latest_by", str, "the name of a header"),
            ("batch", bool, "true or false"),
            ("enabled", bool, "true or false"),
            ("fields", list, "a list of header names"),
        ):
            value = spec.get(key)
            if value is not None and not isinstance(value, kind):
                problems.append(f"{self.path}:{key}: {value!r} is not {words}")
        return spec

    def matches(self, event):
        """Whether this route takes ``event`` (a dict). A condition that fails does not match."""
        if self.condition is None:
            return True
        try:
            return bool(self.condition(event=event))
        except Exception as error:
            # Any error of a person's expression is that expression's, never the bridge's.
            self.failures += 1
            if self.failures == 1:
                log.warning(
                    "%s:condition failed on an event and counts as not matched: %s. "
                    "This is logged once",
                    self.path,
                    error,
                )
            return False

    def item(self, name, event, kind="event"):
        """What the outbox keeps of ``event`` for this route: the arguments of ``Outbox.put``."""
        data = event
        if self.fields:
            data = {key: event[key] for key in self.fields if key in event}
        latest = None
        if self.latest_by:
            latest = f"{name}\n{self.model}\n{self.method}\n{event.get(self.latest_by, '')}"
        return {
            "kind": kind,
            "name": name,
            "model": self.model,
            "method": self.method,
            "batch": self.batch,
            "data": data,
            "delay": self.delay,
            "keep": self.keep,
            "latest": latest,
        }


class EventMap:
    """The compiled routes of AMI events and of bus tags.

    ``events`` and ``bus_events``: dicts of name (or tag glob) to a list of route dicts.
    ``keep``: seconds for routes that do not say (``None``: for ever). Raises
    :class:`~pbxlib.errors.SettingsError` with every fault and its path.
    """

    def __init__(self, events=None, bus_events=None, keep=None):
        problems = []
        self.events = self._compile(events or {}, "asterisk:events", keep, problems)
        for name in self.events:
            if not NAME.match(name):
                problems.append(f"asterisk:events:{name}: this cannot be the name of an AMI event")
        self.bus_events = self._compile(bus_events or {}, "asterisk:bus_events", keep, problems)
        if problems:
            raise SettingsError(problems)

    @classmethod
    def of(cls, settings):
        """The map of resolved settings (see :func:`pbxlib.settings.resolve`)."""
        return cls(settings["events"], settings["bus_events"], settings["outbox"]["keep"])

    @staticmethod
    def _compile(given, path, keep, problems):
        compiled = collections.OrderedDict()
        for name, specs in given.items():
            if not isinstance(name, str):
                problems.append(f"{path}:{name}: {name!r} is not the name of an event")
                continue
            if not isinstance(specs, list):
                problems.append(
                    f"{path}:{name}: {specs!r} is not a list of routes: begin each with '- '"
                )
                continue
            routes = [
                Route(spec, f"{path}:{name}:{position}", keep, problems)
                for position, spec in enumerate(specs)
            ]
            routes = [route for route in routes if route.enabled]
            if routes:
                compiled[name] = routes
        return compiled

    @property
    def wanted(self):
        """The names of AMI events that some enabled route takes: a frozenset."""
        return frozenset(self.events)

    def failures(self):
        """Path of a route → how often its condition failed on an event, where it did."""
        maps = (*self.events.values(), *self.bus_events.values())
        return {route.path: route.failures for routes in maps for route in routes if route.failures}

    def delivers(self, name):
        """Whether some route leads this AMI event to Odoo."""
        return any(route.model for route in self.events.get(name, ()))

    def routes(self, event):
        """The routes that take this AMI event (a dict with ``Event``), in the map's order."""
        return [route for route in self.events.get(event.get("Event"), ()) if route.matches(event)]

    def bus_routes(self, tag, data):
        """``(tag glob, route)`` for each route that takes this bus event."""
        return [
            (pattern, route)
            for pattern, routes in self.bus_events.items()
            if fnmatch.fnmatchcase(tag, pattern)
            for route in routes
            if route.matches(data)
        ]

    def bus_items(self, tag, data):
        """The outbox items of this bus event, ``tag`` among their data: one for each route that
        leads to Odoo."""
        event = dict(data, tag=tag)
        routes = self.bus_routes(tag, data)
        return [route.item(pattern, event) for pattern, route in routes if route.model]
