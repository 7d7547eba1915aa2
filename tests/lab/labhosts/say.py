"""Progress lines and commands that either succeed or raise."""

from __future__ import annotations

import subprocess
import time

STARTED = time.monotonic()


class LabError(Exception):
    """What was tried, what came back and what to do, in words for a person."""


def say(text: str) -> None:
    """Print one progress line with the seconds since the command began."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def run(*command: str, **options) -> str:
    """Run a command and return its standard output.

    options: as for subprocess.run.  Raises LabError with the end of the output if it fails.
    """
    done = subprocess.run(
        command,
        stdin=options.pop("stdin", None if "input" in options else subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if options.pop("merge", False) else subprocess.PIPE,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        output = "\n".join(((done.stdout or "") + (done.stderr or "")).splitlines()[-25:])
        raise LabError(f"`{' '.join(command)}` ended with {done.returncode}:\n{output}")
    return done.stdout


def succeeds(*command: str, **options) -> bool:
    """Whether a command ends with 0; its output is dropped."""
    return (
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **options,
        ).returncode
        == 0
    )
