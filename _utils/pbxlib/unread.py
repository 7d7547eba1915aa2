"""
Which files Asterisk has not read since they were written.

It reads a file when it starts and when the file's module is reloaded. When a module was reloaded
last, Asterisk does not tell, so that is kept in a record: a JSON file of module name to epoch
seconds. What was written and then not reloaded, whatever came between, is found so by the next
apply.
"""

from __future__ import annotations

import json
import os
import tempfile


def unread(files, started, record=None, module=None):
    """Those of the paths ``files`` that are newer than what Asterisk has read, a list.

    ``started()`` is when Asterisk started, in epoch seconds, or ``None`` when it does not run:
    then it will read them all. It is asked only when the record does not answer by itself.
    """
    since = _load(record).get(module, 0) if record else 0
    newer = [path for path in files if _written(path) > since]
    began = started() if newer else None
    return [] if began is None else [path for path in newer if _written(path) > began]


def note(record, module, when):
    """Note that ``module`` was reloaded at ``when`` (epoch seconds). Raises ``OSError``."""
    os.makedirs(os.path.dirname(record), mode=0o700, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=os.path.dirname(record), prefix=".reloads-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**_load(record), module: when}, file)
    os.replace(draft, record)


def _written(path):
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0


def _load(record):
    try:
        with open(record, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}
