"""
A throwaway Asterisk that reads a configuration, says what it thinks of it, and is killed.

It has folders and a network namespace of its own, loads what reads configuration and no hardware,
runs as Asterisk's user, and lives for about a second. It is ended by its pid: ``asterisk -rx`` with
a wrong ``-C`` would fall back to the defaults and stop the PBX that people talk on.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import selectors
import shutil
import subprocess
import tempfile
import time

from pbxlib.conf import Conf
from pbxlib.errors import TrialError

READY = b"Asterisk Ready."
SECONDS = 60
# What reads configuration, before what needs it. Those that are not there are passed over.
_MODULES = """
    res_timing_timerfd res_pjproject res_crypto res_http_websocket res_websocket_client
    res_statsd res_geolocation res_curl func_curl res_stir_shaken res_sorcery_config
    res_sorcery_memory res_sorcery_astdb res_sorcery_memory_cache res_stasis res_cdrel_custom
    codec_ulaw codec_alaw format_wav format_wav_gsm format_gsm format_pcm format_sln
    bridge_holding bridge_softmix bridge_simple res_musiconhold res_adsi res_rtp_asterisk res_srtp
    res_pjsip res_pjsip_session res_pjsip_pubsub res_pjsip_acl res_pjsip_authenticator_digest
    res_pjsip_config_wizard res_pjsip_endpoint_identifier_anonymous
    res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user res_pjsip_mwi
    res_pjsip_nat res_pjsip_notify res_pjsip_outbound_authenticator_digest
    res_pjsip_outbound_publish res_pjsip_outbound_registration res_pjsip_registrar
    res_pjsip_sdp_rtp res_pjsip_transport_websocket chan_pjsip
    app_agent_pool app_confbridge app_followme app_queue app_voicemail res_ari res_fax
    res_parking cdr_csv cdr_custom cdr_manager cdr_sqlite3_custom cel_custom cel_manager
    cel_sqlite3_custom pbx_config
"""
_FOLDERS = {
    "astdbdir": "db",
    "astspooldir": "spool",
    "astrundir": "run",
    "astlogdir": "log",
    "astcachedir": "cache",
}
# The addresses that it is told to listen at come first, as this host's are not in a namespace of
# its own. Its processor time is limited, should whoever started it be killed before it is.
_INSIDE = """\
ip link set lo up
while [ "$1" != -- ]; do ip address add "$1" dev lo; shift; done
shift
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
ulimit -t 60
exec "$@"
"""
_LISTENS = re.compile(r"(?im)^\s*\w*bind(?:addr)?\s*=>?\s*(\[[0-9a-f:]+\]|[\d.]+)")
# Where a name that cannot be looked up takes the whole section, or file, with it.
_NAMED = re.compile(
    r"(?im)^(\s*(?:match|remote_hosts|external_(?:media|signaling)_address|stunaddr|turnaddr)"
    r"\s*=>?)([^;\r\n]*)"
)
_NAME = re.compile(r"(?i)(?:^|(?<=,))\s*(?=[^:,]*[a-z])[a-z0-9._-]+(?=\s*$|\s*,|:\d+)")


def run(confset, program, user=None, group=None, seconds=SECONDS):
    """What Asterisk said while it started with a :class:`~pbxlib.confset.ConfSet`.

    Returns ``(console's text, folder it read)``. ``program``: its path; ``user``, ``group``: whom
    it runs as. Raises :class:`~pbxlib.errors.TrialError`, with its last words, when it did not
    start.
    """
    with _scratch() as home:
        etc = os.path.join(home, "etc")
        _write(confset, home, etc)
        command = [program, "-C", os.path.join(etc, "asterisk.conf"), "-c", "-f", "-n"]
        if user:
            for folder, _, files in os.walk(home):
                for path in (folder, *(os.path.join(folder, file) for file in files)):
                    shutil.chown(path, user, group)
            command += ["-U", user, *(["-G", group] if group else [])]
        inside = ["sh", "-c", _INSIDE, "trial", *_addresses(confset), "--", *command]
        return _start(["nice", "-n", "5", "unshare", "--net", "--", *inside], home, seconds), etc


def _addresses(confset):
    """The addresses that a configuration listens at, such as ``192.0.2.7`` and ``2001:db8::7``."""
    found = set()
    for text in confset.texts.values():
        for address in _LISTENS.findall(text):
            with contextlib.suppress(ValueError):
                found.add(ipaddress.ip_address(address.strip("[]")))
    return sorted(str(a) for a in found if not a.is_unspecified and not a.is_loopback)


@contextlib.contextmanager
def _scratch():
    # In memory where there is a /run: the files have the PBX's secrets in them.
    home = tempfile.mkdtemp(prefix="asterisk-trial-", dir="/run" if os.path.isdir("/run") else None)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(confset, home, etc):
    own = {
        "asterisk.conf": _asterisk_conf(confset, home, etc),
        "modules.conf": _modules_conf(confset),
        "logger.conf": "[general]\n[logfiles]\nconsole = warning,error\n",
        # It can have commands to run at the start.
        "cli.conf": "",
    }
    for folder in ("etc", *_FOLDERS.values()):
        os.mkdir(os.path.join(home, folder), 0o700)
    for name, text in {**confset.texts, **own}.items():
        path = os.path.join(etc, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        text = _NAMED.sub(lambda found: found[1] + _NAME.sub(" 192.0.2.1", found[2]), text)
        text = re.sub(rf"(?m)^(#\w*include\s+[\"<]?){re.escape(confset.etc)}/", r"\1", text)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def _asterisk_conf(confset, home, etc):
    kept = {}
    for section in Conf(confset.texts.get("asterisk.conf", "")).effective():
        if section.name == "directories" and not section.template:
            kept = {setting.key: setting.value for setting in section.settings}
    kept.update({key: os.path.join(home, folder) for key, folder in _FOLDERS.items()})
    kept["astetcdir"] = etc
    return "[directories]\n" + "".join(f"{key} = {value}\n" for key, value in kept.items())


def _modules_conf(confset):
    unwanted = {
        setting.value.partition(".so")[0]
        for section in confset.load("modules.conf").conf.effective()
        for setting in section.settings
        if setting.key == "noload"
    }
    wanted = (module for module in _MODULES.split() if module not in unwanted)
    return "[modules]\nautoload = no\n" + "".join(f"load = {module}.so\n" for module in wanted)


def _start(command, home, seconds):
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TERM": "dumb"}
    try:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise TrialError(f"a second Asterisk cannot be started: {error}") from None
    # Its input stays open: at the end of that the console would begin to spin.
    with process:
        try:
            output, ready = _until_ready(process.stdout, seconds)
        finally:
            process.kill()
    text = output.decode("utf-8", "replace")
    if not ready:
        last = " / ".join(text.strip().splitlines()[-5:])
        raise TrialError(f"a second Asterisk with these files did not start: {last}")
    return text


def _until_ready(stream, seconds):
    """``(bytes, whether it said that it is ready)``, after ``seconds`` at the latest."""
    end, output = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while READY not in output and selector.select(max(0.0, end - time.monotonic())):
            part = os.read(stream.fileno(), 65536)
            if not part:
                break
            output += part
    return output, READY in output
