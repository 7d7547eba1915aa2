"""
Look at, and act on, many PBXs at once.
"""

import logging
import re

import salt.client
import salt.utils.minions
from salt.exceptions import SaltClientError

log = logging.getLogger(__name__)


def status(tgt="*", tgt_type="glob", timeout=10):
    """
    One line for each PBX: Asterisk's version, uptime, active channels, AMI, outbox.

    tgt: *
        Which minions; those that have no Asterisk are left out.

    tgt_type: glob
        How ``tgt`` is meant.

    timeout: 10
        Seconds to wait for answers.

    CLI Example:

    .. code-block:: bash

        salt-run asterisk.status
        salt-run asterisk.status 'pbx*'
    """
    expected = salt.utils.minions.CkMinions(__opts__).check_minions(tgt, tgt_type)["minions"]
    with salt.client.get_local_client(__opts__["conf_file"]) as client:
        answers = client.cmd(
            tgt, "asterisk.status", timeout=timeout, tgt_type=tgt_type, full_return=True
        )
    lines = {}
    for minion in sorted(expected):
        answer = answers.get(minion)
        if not answer:
            lines[minion] = "no answer: is salt-minion running there?"
        elif isinstance(answer["ret"], dict):
            lines[minion] = _line(answer["ret"])
        elif "is not available" not in str(answer["ret"]):
            lines[minion] = str(answer["ret"])
    return {"outputter": "txt", "data": lines or {"": f"no PBX answers to {tgt!r}"}}


# What Odoo may have a minion run; the master's option asterisk_functions adds to it by name.
FUNCTIONS = (
    "asterisk.manager_action",
    "asterisk.outbox",
    "asterisk.outbox_drop",
    "asterisk.outbox_failed",
    "asterisk.outbox_retry",
    "asterisk.ping",
    "asterisk.stats",
    "asterisk.status",
    "saltutil.refresh_pillar",
    "test.ping",
)
MAX_WAIT = 60


def job(minion, fun, arg=(), kwarg=None, jid="", token="", wait=0):
    """
    Have one minion run a function for Odoo. This is what Odoo's account at salt-api may call:
    the account's access list cannot hold for the clients ``local`` and ``local_async``, since
    Salt lets a list of functions pass when it may run one of them.

    minion
        The minion's id; never a pattern.

    fun
        One of the functions of this file, or of the master's option ``asterisk_functions``.

    arg, kwarg
        A list and a dict: the function's arguments.

    jid
        20 digits. The same one twice runs once.

    token
        Kept in the job's metadata; the returner hands it to Odoo with the result.

    wait: 0
        Seconds to wait for the result, 60 at most. 0 returns ``{"jid", "minions"}`` at once, the
        result goes to Odoo by the returner; otherwise ``{minion: result}``. Both are empty for
        an unknown minion or one that did not answer. ``{"error": text}``: it was refused.

    CLI Example:

    .. code-block:: bash

        salt-run asterisk.job pbx1 asterisk.ping wait=5
    """
    allowed = (*FUNCTIONS, *__opts__.get("asterisk_functions", ()))
    if not isinstance(fun, str) or fun not in allowed:
        return {
            "error": f"{fun!r} is not among the functions that Odoo may call: add it to "
            "asterisk:hub:functions in the hub's pillar and apply asterisk-formula.hub"
        }
    if not isinstance(minion, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", minion):
        return {"error": f"{minion!r} is not a minion id"}
    if jid and not re.fullmatch(r"\d{20}", str(jid)):
        return {"error": f"{jid!r} is not a job id: it must be 20 digits"}
    metadata = {"asterisk_plus": {"token": str(token)}} if token else {}
    wait = min(float(wait), MAX_WAIT)
    try:
        with salt.client.get_local_client(__opts__["conf_file"]) as client:
            if wait:
                return client.cmd(
                    [minion], fun, list(arg), timeout=wait, tgt_type="list", kwarg=kwarg or {}
                )
            return client.run_job(
                [minion],
                fun,
                list(arg),
                tgt_type="list",
                ret="odoo",
                jid=str(jid),
                kwarg=kwarg or {},
                metadata=metadata,
            )
    except SaltClientError as error:
        return {"error": f"The Salt master did not take the job: {error}"}


def _line(status):
    if status["asterisk"]:
        # Debian adds the versions of its patches and components after a plus sign.
        version = status["asterisk"].partition("+")[0]
        minutes = status["uptime"] // 60
        days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
        uptime = f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
        pbx = f"Asterisk {version}, up {uptime}, {status['channels']} channels, AMI connected"
    else:
        pbx = f"AMI: {status['ami']}"
    line = f"{pbx}, outbox {status['outbox']}"
    if status["failed"]:
        line += f" and {status['failed']} set aside"
    if status["error"]:
        line += f", {status['error']}"
    return line
