"""What a long-lived process imports after a sync is what was synced."""

import shutil
import subprocess
import sys
from pathlib import Path

import pbxlib.fresh

SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
library = Path(sys.argv[1], "pbxlib", "wire.py")
library.write_text("VERSION = 1")
import pbxlib.wire

library.write_text("VERSION = 2")
from pbxlib import fresh

fresh.forget()
from pbxlib import wire

print(wire.VERSION)
"""


def test_after_a_sync_the_new_library_is_imported_in_the_same_process(tmp_path):
    (tmp_path / "pbxlib").mkdir()
    shutil.copy(Path(pbxlib.fresh.__file__), tmp_path / "pbxlib")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["2"], done.stderr
