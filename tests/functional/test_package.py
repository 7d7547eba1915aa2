"""The package that ``spm build`` makes installs, and what it installs renders."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The file root into which the package was installed."""
    top = tmp_path_factory.mktemp("spm")
    checkout = top / "checkout"
    # What is committed, as SPM takes every file that it finds.
    run("git", "clone", "--quiet", REPOSITORY, checkout)
    conf = top / "conf"
    conf.mkdir()
    paths = {
        "formula_path": "root",
        "pillar_path": "pillar",
        "reactor_path": "reactor",
        "spm_logs_dir": "logs",
        "spm_cache_dir": "cache",
        "spm_build_dir": "build",
        "spm_db": "spm.db",
        "spm_repos_config": "repos",
        "spm_repos_config.d": "repos.d",
        "log_file": "log",
    }
    (conf / "spm").write_text(json.dumps({key: str(top / name) for key, name in paths.items()}))
    (conf / "minion").write_text(
        json.dumps({"id": "pbx1", "root_dir": str(top / "salt"), "file_client": "local"})
    )
    run(BIN / "spm", "-c", conf, "-y", "build", ".", cwd=checkout)
    (package,) = (top / "build").glob("*.spm")
    run(BIN / "spm", "-c", conf, "-y", "local", "install", package)
    return top / "root"


def test_it_brings_every_folder_that_salt_reads(installed):
    brought = {path.name for path in installed.iterdir()}
    assert {
        "asterisk-formula",
        "_engines",
        "_modules",
        "_pillar",
        "_returners",
        "_runners",
        "_states",
        "_utils",
    } <= brought
    assert (installed / "_utils/pbxlib/wire.py").exists()
    # Inside the formula, where SPM puts what is no loader folder; hub.sls looks there too.
    assert (installed / "asterisk-formula/reactor/minion_start.sls").exists()


def test_what_it_brings_renders(installed):
    shown = run(
        BIN / "salt-call",
        "-c",
        installed.parent / "conf",
        "--local",
        f"--file-root={installed}",
        "--out=json",
        "state.show_sls",
        "asterisk-formula",
    )
    assert "asterisk-bridge-engines" in json.loads(shown)["local"]
