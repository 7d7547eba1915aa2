"""
New configuration files, validated before they are put in force.

.. code-block:: yaml

    dialplan-is-sound:
      asterisk.config_tested:
        - name: /etc/asterisk
        - source: salt://pbx/extensions.conf
        - files: [extensions.conf]
        - require_in:
          - file: /etc/asterisk/extensions.conf
"""

from __future__ import annotations

import contextlib
import grp
import importlib.metadata
import os
import pwd

import salt.utils.path

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import faults, jumps, messages, references, trial
    from pbxlib.confset import ConfSet, on_disk, text_of
    from pbxlib.errors import TrialError

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"

_MOST_LINES = 25


def __virtual__():
    return (False, f"{MISSING}: run saltutil.sync_all") if MISSING else __virtualname__


def config_tested(
    name,
    source,
    files,
    blocks=(),
    marker_start="",
    marker_end="",
    user=None,
    group=None,
    references=True,
    asterisk=True,
    lint=True,
):
    """
    Fail with one line for each fault that files would bring in; never changes anything.

    The files are rendered as ``file.managed`` will do it, laid over what is on disk in memory and
    in a folder that only Asterisk's user can read, and looked at there, under ``test=True`` too.
    Nothing is done when none of them differs. Each line begins with the path in the pillar.

    name
        Asterisk's configuration folder.
    source
        The template of all files, which gets the name of each as ``file``.
    files
        Names of the files, relative to the folder.
    blocks
        Those of them of which only the block from ``marker_start`` to ``marker_end`` is written.
    user, group
        Whom Asterisk runs as.
    references
        Look for names that nothing has: auths, AORs, transports, endpoints, contexts, queues,
        templates, included files; and for extensions that are there twice.
    asterisk
        Have a second Asterisk read the files, in a network namespace of its own, for about a
        second. It is left out where there is no Asterisk yet, or the minion is not root.
    lint
        Look for jumps to nowhere with asterisklint, where that is installed.

    .. code-block:: yaml

        configuration-is-sound:
          asterisk.config_tested:
            - name: /etc/asterisk
            - source: salt://asterisk-formula/files/conf.jinja
            - files: [pjsip.conf, extensions.conf]
            - user: asterisk
            - failhard: true
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": ""}
    try:
        before = on_disk(name)
        after, problems = dict(before), []
        for file in files:
            text, problem = _rendered(os.path.join(name, file), source, file)
            if problem:
                problems.append(problem)
            elif file in blocks:
                after[file] = _with_block(before.get(file, ""), text, marker_start, marker_end)
            else:
                after[file] = text
        changed = {file for file in files if after.get(file) != before.get(file)}
        notes = []
        if changed and not problems:
            wanted = {"references": references, "asterisk": asterisk, "lint": lint}
            problems, notes = _problems(name, before, after, changed, files, wanted, user, group)
    except Exception as error:
        ret.update(result=False, comment=f"The new configuration could not be checked: {error}")
        return ret
    if problems:
        more = len(problems) - _MOST_LINES
        lines = problems[:_MOST_LINES] + ([f"and {more} more"] if more > 0 else [])
        ret.update(result=False, comment="\n".join(lines))
    elif changed:
        ret["comment"] = "; ".join([f"No fault was found in {', '.join(sorted(changed))}", *notes])
    else:
        ret["comment"] = "No file differs, so there is nothing to validate"
    return ret


def _rendered(path, source, file):
    """``(text, None)`` of the file that ``file.managed`` would write, or ``(None, why not)``."""
    draft, _, comment = __salt__["file.get_managed"](
        name=path,
        template="jinja",
        source=source,
        source_hash="",
        source_hash_name=None,
        user=None,
        group=None,
        mode=None,
        attrs=None,
        saltenv=__env__,
        context={"file": file},
        defaults=None,
    )
    if comment or not draft:
        # After the first line comes the template.
        return None, comment.split("\n", 1)[0] or f"{path}: {source} could not be rendered"
    try:
        return text_of(draft), None
    finally:
        os.unlink(draft)


def _with_block(text, block, start, end):
    """``text`` after ``file.blockreplace`` with this block, appended where there is none."""
    lines = [*block.rstrip("\n").split("\n"), end]
    old = text.split("\n")
    begins = [number for number, line in enumerate(old) if start in line]
    ends = [number for number, line in enumerate(old) if end in line]
    if begins and ends and begins[0] < ends[0]:
        return "\n".join(old[: begins[0] + 1] + lines + old[ends[0] + 1 :])
    gap = "" if not text or text.endswith("\n") else "\n"
    return text + gap + "\n".join([start, *lines]) + "\n"


def _problems(etc, before, after, changed, files, wanted, user, group):
    """``(lines of what is wrong, notes of what was left out)``; first what has precise words."""
    confset = ConfSet(after, etc)
    pillar = __pillar__.get("asterisk") or {}
    found, notes = [], []
    if wanted["references"]:
        found = faults.told(references.faults(confset), confset, pillar, files)
    if not found and wanted["asterisk"]:
        program = salt.utils.path.which("asterisk")
        if program and os.geteuid() == 0:
            asked, note = _asked(ConfSet(before, etc), confset, changed, program, user, group)
            found += faults.told(asked, confset, pillar)
            notes += note
        else:
            notes.append("no second Asterisk has read it: there is none to start, or no right to")
    if wanted["lint"]:
        program = _asterisklint()
        if not program:
            notes.append("asterisklint is not installed")
        elif not found and "extensions.conf" in confset:
            found += faults.told(jumps.faults(confset, program), confset, pillar, files)
    return found, notes


def _asked(before, after, changed, program, user, group):
    """``(faults that a second Asterisk finds in after and not in before, notes)``."""
    who = (user, group) if _exists(user, group) else (None, None)
    try:
        said = messages.said(*trial.run(after, program, *who))
    except TrialError as error:
        try:
            trial.run(before, program, *who)
        except TrialError:
            # It is not these files, then.
            return [], [f"no second Asterisk has read it: {error}"]
        return [faults.Fault(None, str(error))], []
    if not messages.new(said, ()):
        return [], []
    known = ()
    with contextlib.suppress(TrialError):
        known = messages.said(*trial.run(before, program, *who))
    return messages.faults(messages.new(said, known), after, changed), []


def _exists(user, group):
    try:
        return bool(user and pwd.getpwnam(user) and grp.getgrnam(group))
    except KeyError:
        return False


def _asterisklint():
    """The program's path, ``None`` where it is not installed in Salt's Python or on the path."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.distribution("asterisklint").files or ():
            path = os.path.realpath(file.locate())
            if os.path.basename(path) == "asterisklint" and os.path.isfile(path):
                return path
    return salt.utils.path.which("asterisklint")
