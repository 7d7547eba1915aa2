"""The console's settings: safe as they come, and refused when they would open it too far."""

import pytest

from pbxlib import settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"enabled": True, "listen": "0.0.0.0"}, "asterisk:console:listen: .*without TLS"),
        ({"enabled": True, "listen": "::"}, "asterisk:console:listen: .*without TLS"),
        ({"cert": "/c"}, "asterisk:console:key: it is not set"),
        ({"key": "/k"}, "asterisk:console:cert: it is not set"),
        ({"listen": "odoo.example.com"}, "asterisk:console:listen: .*not an IP address"),
        ({"user": "root"}, "asterisk:console:user: 'root'"),
        ({"origins": ["*"]}, "asterisk:console:origins: .*not an origin"),
        ({"origins": ["https://*.example.com"]}, "asterisk:console:origins: .*not one origin"),
        ({"origins": ["https://odoo.example.com/"]}, "asterisk:console:origins: .*without a path"),
        ({"url": "ws://odoo.example.com/"}, "asterisk:console:url: .*clear text"),
        ({"idle_timeout": "forever"}, "asterisk:console:idle_timeout: 'forever'"),
    ],
)
def test_settings_that_open_the_console_too_far_are_refused(given, words):
    with pytest.raises(settings.SettingsError, match=words):
        settings.resolve({"console": given})


def test_the_console_is_off_by_default():
    console = settings.resolve({})["console"]
    assert not console["enabled"]
    assert console["listen"] == "127.0.0.1"
    assert console["idle_timeout"] == 900
