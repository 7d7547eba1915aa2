"""Cached root file systems, built from the recipes under tests/lab/roots.

A root is a stack of layers.  A layer is a folder CACHE/roots/NAME-KEY/tree; its key is a hash of
its recipe, so that a changed recipe makes another one.  A base layer comes from debootstrap, the
others are the upper side of an overlay.  A layer is built under NAME's lock in a folder of another
name, in mount and pid namespaces that die with the build, and then renamed: what is there is whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from labhosts import locks
from labhosts.carried import carried_files
from labhosts.places import CACHE, ROOT_RECIPES, STATES
from labhosts.say import LabError, say

ROOTS = CACHE / "roots"
KEEP = 2  # versions of a root that no host uses: two clones may differ


@dataclass(frozen=True)
class Recipe:
    """A layer: on top of another, or of nothing but a Debian suite."""

    name: str
    parent: str = ""
    suite: str = ""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("forky", suite="forky"),
        Recipe("hub", parent="forky"),
        Recipe("bullseye", suite="bullseye"),
        Recipe("pbx16", parent="bullseye"),
        Recipe("odoo14-packages", parent="bullseye"),
        Recipe("odoo14", parent="odoo14-packages"),
        Recipe("trixie", suite="trixie"),
        Recipe("pbxsrc", parent="trixie"),
        Recipe("odoo-packages", suite="trixie"),
        Recipe("odoo", parent="odoo-packages"),
    )
}


def key(name: str) -> str:
    """A hash of all that goes into a layer: its script, the files that it names, its parents."""
    recipe = RECIPES[name]
    digest = hashlib.sha256(f"{recipe}{key(recipe.parent) if recipe.parent else ''}".encode())
    for path in ("build", "common.sh", f"{name}.sh"):
        digest.update(_content(path))
    return digest.hexdigest()[:12]


def _content(path: str) -> bytes:
    """A recipe's script and, in the order of their names, all files that it takes from roots/."""
    content = (ROOT_RECIPES / path).read_bytes()
    for pattern in re.findall(rb"/run/recipes/([\w./*-]+)", content) if path != "build" else ():
        for file in sorted(ROOT_RECIPES.glob(pattern.decode())):
            content += _content(str(file.relative_to(ROOT_RECIPES)))
    return content


def chain(name: str) -> list[str]:
    """Names of the layers of a root, topmost first."""
    names = [name]
    while RECIPES[names[-1]].parent:
        names.append(RECIPES[names[-1]].parent)
    return names


def layers(name: str) -> list[Path]:
    """Folders of the layers of a root, topmost first, whether they are there or not."""
    return [ROOTS / f"{layer}-{key(layer)}" / "tree" for layer in chain(name)]


def archives(name: str) -> Path:
    """Where packages that were downloaded for a layer are kept."""
    return CACHE / "apt" / name


def ensure(names: list[str]) -> None:
    """Build the roots that are missing, two at a time. Raises LabError with the log's end."""
    groups: dict[str, list[str]] = {}
    for name in names:
        for layer in reversed(chain(name)):
            group = groups.setdefault(chain(name)[-1], [])
            if layer not in group and not layers(layer)[0].is_dir():
                group.append(layer)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(_build_all, group) for group in groups.values() if group]:
            done.result()


def _build_all(names: list[str]) -> None:
    for name in names:
        _build(name)


def _build(name: str) -> None:
    final = layers(name)[0].parent
    lock = CACHE / "locks" / f"{name}.lock"
    with locks.exclusive(lock, f"root {name}: another build is under way, waiting") as held:
        if final.is_dir():
            return
        for left in ROOTS.glob(f".building-{name}-*"):
            say(f"root {name}: removing what an interrupted build left")
            remove(left)
        say(f"root {name}: building, log in {CACHE / 'log' / name}.log")
        building = ROOTS / f".building-{name}-{os.getpid()}"
        tree = building / "tree"
        tree.mkdir(parents=True)
        _run_build(name, building, held)
        building.rename(final)
        say(f"root {name}: built")
        _forget_old(name, final)


def _run_build(name: str, building: Path, held: int) -> None:
    recipe = RECIPES[name]
    for folder in (archives(name) / "partial", CACHE / "debootstrap", CACHE / "pip", CACHE / "log"):
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in carried_files().items():
        target = building / "carried" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "BUILDING": str(building),
        "NAME": name,
        "SUITE": recipe.suite,
        "LOWER": ":".join(map(str, layers(name)[1:])),
        "RECIPES": str(ROOT_RECIPES),
        "ARCHIVES": str(archives(name)),
        "DEBOOTSTRAP": str(CACHE / "debootstrap"),
        "PIP_CACHE": str(CACHE / "pip"),
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
    }
    log = CACHE / "log" / f"{name}.log"
    unshared = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    with log.open("wb") as output:
        ended = subprocess.run(
            [*unshared, "--fork", "--kill-child", str(ROOT_RECIPES / "build")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[held],
            check=False,
        ).returncode
    if ended:
        tail = "\n".join(deque(log.read_text(errors="replace").splitlines(), 25))
        raise LabError(f"Building root {name} ended with {ended}; the end of {log}:\n{tail}")
    for left in building.iterdir():
        if left.name != "tree":
            shutil.rmtree(left)


def _forget_old(name: str, newest: Path) -> None:
    used = {line for file in STATES.glob("*/hosts/*/lower") for line in file.read_text().split(":")}
    others = sorted(
        (root for root in ROOTS.glob(f"{name}-*") if root != newest),
        key=lambda root: root.stat().st_mtime,
        reverse=True,
    )
    for root in others[KEEP - 1 :]:
        if str(root / "tree") not in used and root.name[len(name) + 1 :].isalnum():
            remove(root)


def remove(folder: Path) -> None:
    """Remove a root; renamed first, so that one that is half removed is never taken for whole."""
    gone = folder.with_name(f".building-{folder.name.lstrip('.').replace('building-', '')}-gone")
    folder.rename(gone)
    shutil.rmtree(gone)
