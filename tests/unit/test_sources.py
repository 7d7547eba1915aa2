"""What is wrong about a build from source is told before anything is fetched."""

import pytest

from pbxlib import settings
from pbxlib.errors import SettingsError

SUM = "sha256=" + "0" * 64


def install(**source):
    source = {"url": "/a.tar.gz", "checksum": SUM, **source}
    return {"install": {"method": "source", "source": source}}


def test_a_source_that_is_sound_passes():
    sound = {"url": "https://example.com/asterisk-core-sounds-en-wav-1.6.1.tar.gz", "checksum": SUM}
    own = {"url": "salt://pbx/own.tar.gz", "checksum": SUM, "folder": "sounds/own"}
    sources = install(
        checksum="sha512=" + "a" * 128,
        menuselect=["--enable", "chan_iax2"],
        externals=[{"url": "/pjproject-2.17.tar.bz2", "checksum": SUM}],
        sounds=[sound, own],
    )
    assert settings.resolve(sources)["install"]["source"]["sounds"] == [sound, own]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": None}, "asterisk:install:source:url: it is not set: write the address"),
        ({"checksum": None}, "asterisk:install:source:checksum: it is not set: write sha256="),
        ({"checksum": "md5=00"}, "asterisk:install:source:checksum: 'md5=00' is not a checksum"),
        ({"checksum": "sha256=00"}, "write sha256= and its 64 digits"),
        ({"checksum": "https://example.com/SHA256SUMS"}, "is not a checksum"),
        ({"menuselct": []}, "did you mean 'menuselect'?"),
        ({"menuselect": "--enable x"}, "asterisk:install:source:menuselect: '--enable x' is not"),
        ({"menuselect": ["--enable", "MOH-OPSOUND-WAV"]}, "name its archive under sounds"),
        ({"externals": [{"url": "/a"}]}, "externals: entry 0 has no checksum"),
        ({"externals": {"url": "/a"}}, "externals: it is not a list of mappings"),
        ({"sounds": [{"url": 5, "checksum": SUM}]}, "entry 0 holds what is not text"),
        ({"sounds": [{"url": "/a", "checksum": SUM, "to": "x"}]}, "'to' is unknown"),
        (
            {"sounds": [{"url": "/own.tar.gz", "checksum": SUM}]},
            "asterisk:install:source:sounds:0: where /own.tar.gz is to be unpacked is not clear",
        ),
        (
            {"sounds": [{"url": "/a", "checksum": SUM, "folder": "../../etc"}]},
            "'../../etc' is not a folder below /var/lib/asterisk",
        ),
    ],
)
def test_faults_are_told_by_their_path(given, said):
    with pytest.raises(SettingsError) as error:
        settings.resolve(install(**given))
    assert said in str(error.value)
