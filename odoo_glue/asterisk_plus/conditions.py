"""What a route may say: the same short list that the PBX accepts.

A route that a PBX cannot use is left out there, so it is refused here, where a person sees it.
"""

import re

from jinja2 import TemplateError, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CONDITION = 1000
MAX_DEPTH = 40
MAX_SECONDS = 1e10
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
_KEEP = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_jinja = ImmutableSandboxedEnvironment()


def check_condition(source):
    """Raise ``ValueError`` unless ``source`` is an expression that a PBX will accept."""
    if len(source) > MAX_CONDITION:
        raise ValueError(f"it is longer than {MAX_CONDITION} characters")
    try:
        parser = Parser(_jinja, source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError("it must be one expression")
        _refuse_unlisted(tree)
        _jinja.compile_expression(source)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise ValueError("it is nested too deeply") from None


def check_keep(text):
    """Raise ``ValueError`` unless ``text`` is a duration such as ``10s`` or ``forever``."""
    if text == "forever":
        return
    match = _KEEP.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration: write 30s, 5m, 2h, 7d or forever")
    check_seconds(float(match[1]) * _UNITS[match[2]])


def check_seconds(seconds):
    """Raise ``ValueError`` unless ``seconds`` (a float) can be waited for."""
    if not 0 <= seconds < MAX_SECONDS:
        raise ValueError(f"{seconds:g} seconds is not from 0 to 300 years")


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
