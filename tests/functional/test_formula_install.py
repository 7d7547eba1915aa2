"""How Asterisk gets onto each family of hosts, as the formula renders it there."""

import hashlib
import json

import pytest
from formula_host import FormulaHost

SUM = "sha256=" + "0" * 64
HOSTS = {
    "Debian": {"os_family": "Debian", "os": "Debian", "osmajorrelease": 14, "init": "systemd"},
    "Ubuntu": {"os_family": "Debian", "os": "Ubuntu", "osmajorrelease": 24, "init": "systemd"},
    "Fedora": {"os_family": "RedHat", "os": "Fedora", "osmajorrelease": 43, "init": "systemd"},
    "Rocky": {"os_family": "RedHat", "os": "Rocky", "osmajorrelease": 9, "init": "systemd"},
    "Alpine": {"os_family": "Alpine", "os": "Alpine", "osmajorrelease": 3, "init": "openrc"},
}


class Host(FormulaHost):
    """A host that takes itself for one of another distribution."""

    def become(self, name):
        path = self.salt / "minion"
        path.write_text(json.dumps({**json.loads(path.read_text()), "grains": HOSTS[name]}))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return Host(tmp_path_factory.mktemp("host"))


def source(**more):
    return {"method": "source", "source": {"url": "/a.tar.gz", "checksum": SUM, **more}}


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("Debian", ["asterisk"]),
        ("Ubuntu", ["asterisk"]),
        ("Fedora", ["asterisk", "asterisk-pjsip"]),
        ("Rocky", ["asterisk", "asterisk-pjsip"]),
        (
            "Alpine",
            ["asterisk", "asterisk-srtp", "asterisk-curl", "asterisk-sample-config"],
        ),
    ],
)
def test_each_family_gets_the_packages_that_it_names_so(host, name, packages):
    host.become(name)
    host.set_pillar({"group": "asterisk"})
    low = host.low("asterisk-formula")
    assert low["asterisk-package"]["pkgs"] == packages
    # EPEL comes first where Asterisk is in it, and nowhere else.
    assert ("asterisk-repository" in low) == (name == "Rocky")
    assert low["asterisk-service"]["name"] == "asterisk"
    assert low["asterisk-pjsip.conf"]["group"] == "asterisk"


def test_another_repository_takes_the_place_of_the_familys(host):
    host.become("Rocky")
    repository = {"name": "pbx", "baseurl": "https://packages.example.com", "gpgcheck": 1}
    host.set_pillar({"install": {"repository": repository}})
    low = host.low("asterisk-formula.package")
    assert low["asterisk-repository"]["baseurl"] == "https://packages.example.com"
    assert low["asterisk-package"]["require"] == [{"id": "asterisk-repository"}]


@pytest.mark.parametrize(
    ("name", "package"), [("Debian", "libedit-dev"), ("Rocky", "libedit-devel")]
)
def test_a_build_has_its_familys_packages(host, name, package):
    host.become(name)
    host.set_pillar({"install": source()})
    assert package in host.low("asterisk-formula.source")["asterisk-build-packages"]["pkgs"]


def test_a_source_build_without_systemd_is_refused_with_the_way_out(host):
    host.become("Alpine")
    host.set_pillar({"install": source()})
    chunk = host.low("asterisk-formula.source")["asterisk-source"]
    assert "this host is under openrc. Set it to package" in chunk["comment"]
    assert chunk["name"] == chunk["comment"]


def build(host, **more):
    host.become("Debian")
    host.set_pillar({"install": source(**more)})
    low = host.low("asterisk-formula")
    assert low["asterisk-build"]["name"] == low["asterisk-build-current"]["name"]
    return low["asterisk-build"]["name"]


def test_only_what_goes_into_a_build_leads_to_another_one(host):
    pj, opus = ({"url": f"/{name}", "checksum": f"sha256={name * 64}"} for name in "ab")
    first = build(host, configure=["--with-x"], externals=[pj, opus])
    beside = {
        "url": "https://example.com/the-same.tar.gz",
        "build_packages": ["gcc", "make"],
        "sounds": [{"url": "/asterisk-moh-opsound-wav-2.03.tar.gz", "checksum": SUM}],
    }
    assert build(host, configure=["--with-x"], externals=[opus, pj], **beside) == first
    others = [
        build(host, configure=["--with-y"], externals=[pj, opus]),
        build(host, configure=["--with-x"], externals=[pj, opus], menuselect=["--enable", "x"]),
        build(host, configure=["--with-x"], externals=[pj, opus], checksum="sha256=" + "1" * 64),
    ]
    assert len({first, *others}) == 4


def test_sounds_go_where_their_archives_names_say(host):
    host.become("Debian")
    names = ["asterisk-core-sounds-fr-wav-1.6.1", "asterisk-moh-opsound-wav-2.03", "greetings"]
    sounds = [{"url": f"https://example.com/{name}.tar.gz", "checksum": SUM} for name in names]
    sounds[2]["folder"] = "sounds/custom"
    host.set_pillar({"install": source(sounds=sounds)})
    low = host.low("asterisk-formula.source")
    folders = [low[f"asterisk-sounds-{number}"]["name"] for number in (1, 2, 3)]
    assert folders == [
        "/var/lib/asterisk/sounds/fr",
        "/var/lib/asterisk/moh",
        "/var/lib/asterisk/sounds/custom",
    ]


def test_a_tarball_with_another_checksum_is_refused(host, tmp_path):
    tarball = tmp_path / "asterisk.tar.gz"
    tarball.write_bytes(b"not what was asked for")
    good = "sha256=" + hashlib.sha256(tarball.read_bytes()).hexdigest()
    for checksum, result in ((SUM, False), (good, True)):
        kept = tmp_path / "kept"
        done = host.call(
            "state.single",
            "file.managed",
            str(kept),
            f"source={tarball}",
            f"source_hash={checksum}",
        )
        assert [state["result"] for state in done.values()] == [result]
        assert kept.exists() == result


def test_a_file_of_the_masters_with_another_checksum_is_refused(host, tmp_path):
    # Salt does not look at source_hash there.
    kept = tmp_path / "kept"
    kept.write_bytes(b"not what was asked for")
    for checksum, result in (
        (SUM, False),
        (f"sha256={hashlib.sha256(kept.read_bytes()).hexdigest()}", True),
    ):
        done = host.call(
            "state.single", "asterisk_build.verified", str(kept), f"checksum={checksum}"
        )
        assert [state["result"] for state in done.values()] == [result]
    host.become("Debian")
    host.set_pillar({"install": source(url="salt://asterisk.tar.gz")})
    checks = [
        chunk
        for chunk in host.call("state.show_low_sls", "asterisk-formula.source")
        if chunk["state"] == "asterisk_build" and chunk["fun"] == "verified"
    ]
    assert [(chunk["__id__"], chunk["require_in"]) for chunk in checks][-1] == (
        "asterisk-tarball",
        [{"asterisk_build": "asterisk-build"}],
    )


def test_clean_takes_away_the_build_and_its_sounds(host):
    host.become("Debian")
    sound = {"url": "/asterisk-core-sounds-en-wav-1.6.1.tar.gz", "checksum": SUM}
    host.set_pillar({"install": source(sounds=[sound])})
    low = host.low("asterisk-formula.clean")
    assert low["asterisk-clean-sounds-1"]["archive"].endswith("/sounds" + sound["url"])
    assert not [name for name in low if "package" in name or "user" in name]
