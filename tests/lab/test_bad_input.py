"""What is set up wrongly is said once, in words that name the setting; nothing crashes or spins."""

import pytest

LOG = "/var/log/salt/minion"


@pytest.fixture
def said(house):
    """A function: the lines of the minion's log since the test began that hold a text."""
    size = int(house.run("pbx1", "stat", "-c", "%s", LOG).stdout)

    def lines(text):
        log = house.run("pbx1", "tail", "-c", f"+{size + 1}", LOG).stdout
        return [line for line in log.splitlines() if text in line and "return_data" not in line]

    return lines


def test_a_wrong_ami_secret_is_named_and_the_next_apply_mends_it(house, said):
    conf = "/etc/asterisk/manager.conf"
    house.run("pbx1", "sed", "-i", "s/^secret = .*/secret = another/", conf)
    house.run("pbx1", "asterisk", "-rx", "manager reload")
    house.call("pbx1", "event.fire", "{}", "asterisk/ami/reconnect")

    def refused():
        done = house.run("pbx1", "salt-call", "asterisk.ping", check=False)
        return done if "refused" in done.stdout else None

    done = house.await_that(refused, "a refused login", 60)
    assert done.returncode != 0
    assert "Asterisk refused the AMI login 'salt'" in done.stdout
    assert "asterisk:ami:secret" in done.stdout
    assert len(said("Asterisk refused the AMI login")) == 1

    # Its reload has the bridge log in anew, which shortens the pause after a refusal.
    states = house.apply()
    assert states["asterisk-manager.conf"]["changes"]
    assert "another" not in str(states)
    house.await_bridge(seconds=20)


def is_empty(house):
    return house.call("pbx1", "asterisk.outbox")["depth"] == 0


def all_is_delivered(house):
    house.await_that(lambda: is_empty(house), "delivery", 60)


def nothing_is_under_way(house):
    """Wait until Odoo knows all, and has the results of what it asked the PBX because of it."""
    asked = [("server_id", "=", house.server), ("state", "in", ["new", "sending", "sent"])]

    def quiet():
        # In this order: what Odoo is told makes it ask.
        return is_empty(house) and not house.odoo("asterisk_plus.job", "search", domain=asked)

    # Odoo looks once a minute for jobs that nobody answers any more.
    house.await_that(quiet, "the end of Odoo's jobs", 180)


def test_an_unreachable_odoo_is_named_and_events_wait(house, said):
    # The bridge that found Asterisk again has just told so, and Odoo asks for the PBX's status.
    nothing_is_under_way(house)
    with house.other_pillar(odoo={"url": "https://odoo:444"}):
        house.await_that(lambda: said("Odoo at https://odoo:444 cannot be reached"), "an error")
        house.call("pbx1", "asterisk.bus_event", "salt/minion/pbx1/start", '{"id": "pbx1"}')
        outbox = house.call("pbx1", "asterisk.outbox")
        assert "Odoo at https://odoo:444 cannot be reached" in outbox["error"]
        assert outbox["depth"] == 1
        assert len(said("cannot be reached")) == 1

    # The mended setting is tried at once, not after the pause.
    all_is_delivered(house)


def test_a_bad_api_key_is_named(house, said):
    with house.other_pillar(odoo={"api_key": "0123456789abcdef0123456789abcdef01234567"}):
        wrong = "answered 401: the API key in asterisk:odoo:api_key is wrong"
        house.await_that(lambda: said(wrong), "an error")
        assert wrong in house.call("pbx1", "asterisk.outbox")["error"]
        assert len(said("asterisk:odoo:api_key is wrong")) == 1
        assert not said("0123456789abcdef0123456789abcdef01234567")
    house.await_that(lambda: said("Odoo answers again"), "an answer again", 20)
    assert house.call("pbx1", "asterisk.outbox")["error"] is None


def test_a_typo_in_the_event_map_is_named_and_the_last_good_map_stays(house, said):
    typo = {"Hangup": [{"modle": "asterisk_plus.call", "method": "create_cdrs"}]}
    with house.other_pillar(events=typo):
        house.await_that(lambda: said("The pillar is not used"), "a complaint")
        assert len(said("The pillar is not used")) == 1
        assert said("asterisk:events:Hangup:0:modle: there is no such setting")

        with pytest.raises(RuntimeError, match="asterisk:events:Hangup:0:modle"):
            house.apply()
        house.await_bridge()
        house.sip_call("101", "102")
        all_is_delivered(house)
