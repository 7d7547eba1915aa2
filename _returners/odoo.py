"""
Return the results of Odoo's own jobs to Odoo, through the outbox.

Odoo names this returner in each job that it starts and puts a token into the job's metadata; a
job without that token is none of Odoo's and is passed over. The result is committed to the
outbox of this minion, so that it survives any outage of Odoo.

.. code-block:: bash

    salt pbx1 asterisk.ping --return odoo --metadata '{"asterisk_plus": {"token": "…"}}'
"""

import logging
import os
import sys

log = logging.getLogger(__name__)

MAX_RESULT = 256 * 1024
KEEP = 7 * 86400


def __virtual__():
    # Salt puts no path of synced utils before it loads returners in a new minion.
    library = os.path.join(__opts__["extension_modules"], "utils")
    if library not in sys.path:
        sys.path.append(library)
    try:
        import pbxlib.outbox  # noqa: F401
    except ImportError as error:
        return False, f"{error}: run saltutil.sync_utils"
    return "odoo"


def returner(ret):
    """Put the job's result into the outbox, if the job is one of Odoo's.

    A result whose JSON is longer than 256 KiB is replaced by a text that says so.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.ping --return odoo
    """
    from pbxlib.outbox import Outbox
    from pbxlib.plain import dumps

    token = ((ret.get("metadata") or {}).get("asterisk_plus") or {}).get("token")
    if not token:
        log.debug("Job %s was not started by Odoo: not returned there", ret.get("jid"))
        return
    value = ret.get("return")
    try:
        size = len(dumps(value).encode())
    except (TypeError, ValueError):  # such as names of dicts that are not text
        value = repr(value)
        size = len(value.encode())
    if size > MAX_RESULT:
        value = f"The result of {size} bytes is longer than {MAX_RESULT} and was left out"
    outbox = Outbox(os.path.join(__opts__["cachedir"], "asterisk", "outbox.sqlite"))
    try:
        outbox.put(
            [
                {
                    "kind": "result",
                    "name": str(ret["fun"]),
                    "keep": KEEP,
                    "data": {
                        "jid": str(ret["jid"]),
                        "token": token,
                        "fun": ret["fun"],
                        "retcode": ret.get("retcode", 0),
                        "success": ret.get("success", True),
                        "return": value,
                    },
                }
            ]
        )
    finally:
        outbox.close()
