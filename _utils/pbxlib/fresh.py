"""
This library as it is on disk, in a process that has read an older one.

After a sync Salt loads its loader modules anew, but what they import stays in ``sys.modules``: the
first apply of a new version would fail on a name that the old library lacks.
"""

import sys


def forget():
    """Have the next ``import`` of each module of this library read the disk."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pbxlib"]:
        del sys.modules[name]
