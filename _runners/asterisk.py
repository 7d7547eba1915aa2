"""
Look at, and act on, many PBXs at once.
"""

import logging

import salt.client
import salt.utils.minions

log = logging.getLogger(__name__)


def status(tgt="*", tgt_type="glob", timeout=10):
    """
    One line for each PBX: Asterisk's version, start, active channels, AMI, outbox.

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


def _line(status):
    if status["asterisk"]:
        pbx = (
            f"Asterisk {status['asterisk']}, up since {status['started']}, "
            f"{status['channels']} channels, AMI connected"
        )
    else:
        pbx = f"AMI: {status['ami']}"
    line = f"{pbx}, outbox {status['outbox']}"
    if status["failed"]:
        line += f" and {status['failed']} set aside"
    if status["error"]:
        line += f", {status['error']}"
    return line
