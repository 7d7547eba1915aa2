"""Asterisk from source, on a Debian that has no package of it: built, run, replaced, taken back."""

import json
from pathlib import Path

import pytest
import yaml
from house import PBX_PILLAR, TOP, House
from labhosts import authority, places

HOST = "pbxsrc"
SOURCE = "/srv/asterisk-source"
WEBRTC = Path(__file__).resolve().parents[2] / "docs/examples/webrtc.sls"
CURRENT = "/opt/asterisk/current"
# What a call between two phones needs: a build of everything takes minutes.
CATEGORIES = "ADDONS APPS BRIDGES CDR CEL CHANNELS CODECS FORMATS FUNCS PBX RES TESTS UTILS"
MODULES = """
app_dial app_echo app_forkcdr app_playback app_verbose bridge_builtin_features bridge_holding
bridge_native_rtp bridge_simple bridge_softmix cdr_custom cdr_manager chan_pjsip codec_alaw
codec_resample codec_ulaw format_pcm format_wav func_callerid func_cdr func_channel func_logic
func_strings pbx_config res_crypto res_http_websocket res_pjproject res_pjsip
res_pjsip_authenticator_digest
res_pjsip_caller_id res_pjsip_endpoint_identifier_user res_pjsip_nat
res_pjsip_outbound_authenticator_digest res_pjsip_registrar res_pjsip_sdp_rtp res_pjsip_session
res_pjsip_transport_websocket res_rtp_asterisk res_sorcery_astdb res_sorcery_config
res_sorcery_memory res_srtp res_timing_timerfd
"""
CCACHE = """\
cache_dir = /root/.cache/ccache
# The same source in another folder is the same source.
hash_dir = false
base_dir = /opt/asterisk
"""
SOUNDS = """
mkdir -p /srv/sounds/dictate
echo beep > /srv/sounds/beep.sln && echo enter > /srv/sounds/dictate/enter.sln
tar -czf /srv/asterisk-core-sounds-xx-sln-1.0.tar.gz -C /srv/sounds .
"""
# A repository as others run one, with one package in it, signed by a key of its own.
REPOSITORY = """
rm -rf /srv/repository /srv/gnupg
mkdir -p /srv/repository/package/DEBIAN && cd /srv/repository
printf '%s\\n' 'Package: pbx-tools' 'Version: 1.0' 'Architecture: all' 'Description: tools' \
    'Maintainer: PBX <pbx@example.com>' > package/DEBIAN/control
dpkg-deb --build package pbx-tools.deb
{ dpkg-deb -f pbx-tools.deb; echo 'Filename: ./pbx-tools.deb'
  echo "Size: $(stat -c %s pbx-tools.deb)"; echo "SHA256: $(sha256sum < pbx-tools.deb | cut -c-64)"
} > Packages
{ echo 'Suite: pbx'; echo "Date: $(date -Ru)"; echo 'SHA256:'
  echo " $(sha256sum < Packages | cut -c-64) $(stat -c %s Packages) Packages"; } > Release
export GNUPGHOME=/srv/gnupg && mkdir -m 700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key pbx@example.com rsa2048 sign
gpg --batch --quiet --clearsign --output InRelease Release
gpg --export --armor > /srv/repository/key.asc
"""


class SourcePbx:
    """The PBX that builds its Asterisk; its pillar is made of what the tests give."""

    def __init__(self, house):
        self.house = house
        self.version = self.run("cat", f"{SOURCE}/version").strip()

    def run(self, *command):
        return self.house.run(HOST, *command).stdout

    def source(self, tarball, **more):
        """``asterisk:install`` for a tarball of the lab's."""
        select = [part for name in CATEGORIES.split()
                  for part in ("--disable-category", f"MENUSELECT_{name}")]  # fmt: skip
        select += [part for name in MODULES.split() for part in ("--enable", name)]
        pjproject = self.run("sh", "-c", f"ls {SOURCE}/pjproject-*").strip()
        return {
            "method": "source",
            "source": {
                **self.file(f"{SOURCE}/{tarball}"),
                "configure": [
                    "CC=ccache gcc",
                    "CXX=ccache g++",
                    "--cache-file=/var/tmp/config.cache",
                ],
                "menuselect": select,
                "externals": [self.file(pjproject)],
                **more,
            },
        }

    def file(self, path):
        return {"url": path, "checksum": "sha256=" + self.run("sha256sum", path).split()[0]}

    def set_install(self, install, **more):
        pillar = json.dumps({"asterisk": {"install": install, **more}})
        self.house.write("hub", f"/srv/pillar/{HOST}.sls", pillar)

    def apply(self, sls="asterisk-formula"):
        """State ID -> what became of it, when the minion is back."""
        before = self.house.minion_run(HOST)
        command = ["salt-call", "--out=json", "state.apply", sls]
        done = self.house.run(HOST, *command, check=False, timeout=2400)
        # After it comes what the restart of the minion prints, which the run leaves behind.
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        result = json.JSONDecoder().raw_decode(done.stdout)[0]["local"]
        assert isinstance(result, dict), result
        states = {state["__id__"]: state for state in result.values()}
        self.house.await_restart(HOST, states, before)
        return states

    def build(self):
        """The build that is in force, and the one whose Asterisk runs."""
        running = self.run("systemctl", "show", "--property=MainPID", "--value", "asterisk")
        program = self.run("readlink", f"/proc/{running.strip()}/exe").strip()
        return self.run("readlink", "-f", CURRENT).strip(), program.rsplit("/", 2)[0]

    def call(self):
        """A call between two phones."""
        self.house.sip_call("101", "102", HOST, talk=300)


@pytest.fixture(scope="module")
def pbx():
    house = House()
    house.lab("up", "hub", HOST)
    house.write("hub", "/srv/pillar/top.sls", TOP)
    house.write("hub", "/srv/pillar/pbx.sls", PBX_PILLAR)
    house.run(HOST, "install", "-m", "644", "/dev/stdin", "/etc/ccache.conf", stdin=CCACHE)
    return SourcePbx(house)


@pytest.fixture(scope="module")
def built(pbx):
    """The PBX after its first apply; the states of it."""
    pbx.run("sh", "-ec", SOUNDS)
    packages = ["build-essential", "ccache", "pkgconf", "bzip2", "patch", "libedit-dev",
                "libjansson-dev", "libsqlite3-dev", "libssl-dev", "libxml2-dev", "libsrtp2-dev",
                "libsystemd-dev", "uuid-dev", "xz-utils"]  # fmt: skip
    pbx.install = pbx.source(
        f"asterisk-{pbx.version}.tar.gz",
        build_packages=packages,
        sounds=[pbx.file("/srv/asterisk-core-sounds-xx-sln-1.0.tar.gz")],
    )
    pbx.set_install(pbx.install)
    return pbx.apply()


def faults(states):
    return {name: state["comment"] for name, state in states.items() if state["result"] is False}


def test_a_debian_without_the_package_is_told_what_to_do(pbx):
    pbx.set_install({"method": "package"})
    said = faults(pbx.apply("asterisk-formula.package"))
    assert list(said) == ["asterisk-repository"]
    assert "Debian 13 has no package asterisk" in said["asterisk-repository"]
    assert "asterisk:install:source" in said["asterisk-repository"]


def test_another_repository_is_trusted_by_its_own_key_only(pbx):
    pbx.run("sh", "-ec", REPOSITORY)
    repository = {
        "name": "deb [signed-by=/etc/apt/keyrings/pbx.asc] file:/srv/repository ./",
        "file": "/etc/apt/sources.list.d/pbx.list",
        "key_url": "file:///srv/repository/key.asc",
        "aptkey": False,
    }
    pbx.set_install({"method": "package", "packages": ["pbx-tools"], "repository": repository})
    assert faults(pbx.apply("asterisk-formula.package")) == {}
    assert pbx.run("dpkg-query", "-W", "-f", "${Version}", "pbx-tools") == "1.0"
    again = pbx.apply("asterisk-formula.package")
    assert [name for name, state in again.items() if state["changes"]] == []

    pbx.apply("asterisk-formula.clean")
    assert pbx.run("sh", "-c", "dpkg-query -W pbx-tools 2>&1 || true").startswith("dpkg-query: no")
    assert pbx.run("sh", "-c", "grep -r repository /etc/apt/sources.list.d || true") == ""
    assert pbx.run("ls", "/etc/apt/keyrings") == ""


def test_the_build_runs_unprivileged_and_places_a_call(pbx, built):
    assert faults(built) == {}
    current, running = pbx.build()
    assert current == running
    assert pbx.version in pbx.run("asterisk", "-rx", "core show version")
    assert pbx.run("ps", "-o", "user=", "-C", "asterisk").split() == ["asterisk"]
    # Its libraries are those of its build, without a word to the system's linker.
    linked = pbx.run("ldd", f"{current}/sbin/asterisk")
    assert f"{current}/lib/libasteriskpj.so" in linked
    assert "not found" not in linked
    assert pbx.run("cat", "/var/lib/asterisk/sounds/xx/dictate/enter.sln") == "enter\n"
    pbx.call()


def test_a_second_apply_changes_nothing(pbx, built):
    again = pbx.apply()
    assert {name: state["changes"] for name, state in again.items() if state["changes"]} == {}


def test_tls_and_websockets_for_browsers_come_up(pbx, built):
    key, certificate = authority.sign(places.Lab(), HOST, pbx.house.address(HOST))
    for file, text in (("pbx.key", key), ("pbx.crt", certificate)):
        command = ["install", "-D", "-m", "640", "-g", "asterisk", "/dev/stdin"]
        pbx.house.run(HOST, *command, f"/etc/asterisk/keys/{file}", stdin=text.decode())
    pbx.set_install(pbx.install, **yaml.safe_load(WEBRTC.read_text())["asterisk"])
    assert faults(pbx.apply()) == {}
    transports = pbx.run("asterisk", "-rx", "pjsip show transports").split()
    assert {"transport-udp", "transport-tls", "transport-wss"} <= set(transports)
    listening = pbx.run("ss", "-Htln")
    assert ":5061 " in listening
    assert ":8089 " in listening

    pbx.set_install(pbx.install)
    assert faults(pbx.apply()) == {}


def test_a_version_that_does_not_start_is_taken_back_and_not_tried_again(pbx, built):
    good, _ = pbx.build()
    pbx.set_install(pbx.source(f"asterisk-{pbx.version}-exits.tar.gz"))
    said = faults(pbx.apply())["asterisk-build-current"]
    assert "Asterisk did not start with the build" in said
    assert f"{good} is in force again and runs" in said
    assert pbx.build() == (good, good)
    pbx.call()

    process = pbx.run("pidof", "asterisk")
    assert "To try it again" in faults(pbx.apply("asterisk-formula"))["asterisk-build-current"]
    assert pbx.run("pidof", "asterisk") == process


def test_clean_leaves_what_is_its_users_own(pbx, built):
    own = ["/etc/asterisk/own.conf", "/var/lib/asterisk/sounds/xx/own.sln", "/opt/asterisk/notes"]
    pbx.run("touch", *own)
    pbx.set_install(pbx.install)
    states = pbx.apply("asterisk-formula.clean")
    assert faults(states) == {}
    gone = [CURRENT, "/usr/sbin/asterisk", "/usr/src/asterisk-formula",
            "/etc/systemd/system/asterisk.service", "/etc/asterisk/pjsip.conf",
            "/var/lib/asterisk/sounds/xx/beep.sln"]  # fmt: skip
    found = pbx.run("sh", "-c", 'ls -d "$@" 2>/dev/null || true', "sh", *own, *gone)
    assert sorted(found.split()) == sorted(own)
    assert pbx.run("ls", "/opt/asterisk").split() == ["notes"]
