"""A minion that has just been installed, before and after its first restart."""

from pathlib import Path


def test_the_returner_works_after_the_first_sync_without_a_restart(before_the_restart):
    assert before_the_restart["kept"]


def test_an_action_without_the_engine_says_what_to_do_and_fails(before_the_restart):
    command = before_the_restart["command"]
    assert command.returncode != 0
    assert "The engine asterisk_ami does not run on this minion" in command.stderr
    assert "asterisk-formula.bridge" in command.stderr
    assert "Traceback" not in command.stderr


def test_a_result_from_before_the_restart_reaches_odoo_after_it(minion, odoo):
    odoo.wait_for(lambda odoo: any(is_result(item, "token-1") for item in odoo.applied), 30)
    (item,) = [item for item in odoo.applied if is_result(item, "token-1")]
    assert item["name"] == "test.echo"
    assert item["data"]["return"] == "before"
    assert item["data"]["success"] is True


def test_the_first_start_does_not_say_of_the_pillar_what_is_not_so(minion, odoo):
    odoo.wait_for(lambda odoo: any(is_result(item, "token-1") for item in odoo.applied), 30)
    log = Path(minion.config["log_file"]).read_text()
    assert "asterisk_ami" in log  # the engines' words are there
    assert "the pillar lacks" not in log


def is_result(item, token):
    return item["kind"] == "result" and item["data"]["token"] == token
