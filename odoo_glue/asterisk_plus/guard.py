"""Running a handler so that its failure stays its own.

:func:`attempt` gives the handler a savepoint. It may not end the transaction it runs in: the
batch's other effects, and the answer that is stored with them, hang on it.
"""

import copy
import re
from collections import deque, namedtuple

import psycopg2
from psycopg2 import errorcodes

_TRANSIENT = {
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.LOCK_NOT_AVAILABLE,
}
_ENDS_TRANSACTION = re.compile(
    r"\s*(?:commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b",
    re.IGNORECASE,
)
_GUARDED = ("execute", "commit", "rollback", "close")
ERROR_LENGTH = 500


# ``text``: the exception in one line.
Failure = namedtuple("Failure", "text exception")


class TransactionEnded(Exception):
    """A handler tried to commit, roll back or close the cursor that it was given."""


def attempt(cr, body):
    """Run ``body(guard)`` in a savepoint of ``cr``. None, or a :class:`Failure`.

    ``guard.check()`` fails a handler that tried to end the transaction and swallowed the refusal;
    it is called once more at the end.

    Conflicts between transactions (40001, 40P01, 55P03), and a lost database connection, are
    no handler's fault: they are raised, for Odoo to retry the whole request. So is a conflict that
    a handler made another error of, since Odoo retries for the conflict alone.
    """
    hooks = _PostCommit(cr)
    try:
        with _Guard(cr) as guard, cr.savepoint():
            body(guard)
            guard.check()
    except (Exception, SystemExit) as error:
        conflict = conflict_in(error)
        if cr.closed or conflict is error:
            raise
        if conflict:
            raise conflict from error
        hooks.restore()
        return Failure(one_line(error), error)
    return None


def conflict_in(error):
    """The conflict between transactions that ``error`` is, or that a handler wrapped in it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, psycopg2.Error) and error.pgcode in _TRANSIENT:
            return error
        if type(error).__name__ == "ConcurrencyError":
            return error
        error = error.__cause__ or error.__context__
    return None


def one_line(error):
    """An exception as one line of at most ``ERROR_LENGTH`` characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:ERROR_LENGTH]


class _Guard:
    """Refuses whatever would end the transaction, and remembers that it was tried."""

    def __init__(self, cr):
        self.cr = cr
        self.tried = False

    def __enter__(self):
        execute = self.cr.execute
        # Odoo's own tests put attributes of theirs there.
        self.before = {name: vars(self.cr)[name] for name in _GUARDED if name in vars(self.cr)}

        def watched(query, *args, **kwargs):
            text = getattr(query, "code", query)
            if isinstance(text, bytes):
                text = text.decode(errors="replace")
            if isinstance(text, str) and _ENDS_TRANSACTION.match(text):
                self._refuse()
            return execute(query, *args, **kwargs)

        self.cr.execute = watched
        self.cr.commit = self.cr.rollback = self.cr.close = self._refuse
        return self

    def __exit__(self, *exc_info):
        for name in _GUARDED:
            delattr(self.cr, name)
        vars(self.cr).update(self.before)

    def _refuse(self, *args, **kwargs):
        self.tried = True
        raise TransactionEnded(
            "A handler may not commit, roll back or close the cursor: what a batch does takes "
            "effect together with its answer"
        )

    def check(self):
        """Raise :class:`TransactionEnded` when a refusal was swallowed."""
        if self.tried:
            self._refuse()


class _PostCommit:
    """Post-commit hooks outlive a savepoint: those of a handler that failed are taken back."""

    def __init__(self, cr):
        self.callbacks = cr.postcommit
        self.functions = list(self.callbacks._funcs)
        self.data = {key: copy.copy(value) for key, value in self.callbacks.data.items()}

    def restore(self):
        self.callbacks._funcs = deque(self.functions)
        self.callbacks.data.clear()
        self.callbacks.data.update(self.data)
