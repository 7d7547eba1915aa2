"""Tickets: good once, for a short time, and kept where nobody can read them back."""

import os
import pathlib
import threading

import pytest

from pbxlib import settings
from pbxlib.tickets import Tickets, address


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tickets(tmp_path, clock):
    return Tickets(str(tmp_path / "console"), clock=clock)


def test_a_ticket_is_good_once(tickets):
    ticket, _ = tickets.issue()
    assert tickets.claim(ticket)
    assert not tickets.claim(ticket)


def test_a_ticket_ends_after_thirty_seconds(tickets, clock):
    ticket, expires = tickets.issue()
    assert expires == clock.now + 30
    clock.now += 30
    assert not tickets.claim(ticket)


def test_a_clock_that_is_set_back_does_not_lengthen_a_ticket(tickets, clock):
    ticket, _ = tickets.issue()
    clock.now -= 3600
    assert not tickets.claim(ticket)


@pytest.mark.parametrize("text", ["", "no", "../../etc/passwd", "x" * 60000, "\ud800", "\0"])
def test_what_is_no_ticket_is_refused(tickets, text):
    assert not tickets.claim(text)
    tickets.issue()
    assert not tickets.claim(text)


def test_only_a_hash_is_kept_in_a_file_that_only_its_owner_reads(tickets):
    ticket, _ = tickets.issue()
    (name,) = os.listdir(tickets.folder)
    path = pathlib.Path(tickets.folder, name)
    assert len(ticket) == 43
    assert len(name) == 64
    assert ticket not in name
    assert ticket not in path.read_text()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(tickets.folder).st_mode & 0o777 == 0o700


def test_tickets_that_nobody_used_are_removed_when_the_next_is_issued(tickets, clock):
    tickets.issue()
    clock.now += 31
    tickets.issue()
    assert len(os.listdir(tickets.folder)) == 1


def test_of_many_that_claim_it_at_once_one_gets_it(tickets):
    ticket, _ = tickets.issue()
    start = threading.Barrier(8)
    answers = []

    def claim():
        start.wait()
        answers.append(tickets.claim(ticket))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "ws://127.0.0.1:8010/console"),
        ({"listen": "::1"}, "ws://[::1]:8010/console"),
        ({"listen": "0.0.0.0", "cert": "/c", "key": "/k"}, "wss://pbx1.example.com:8010/console"),
        ({"url": "wss://odoo.example.com/pbx1"}, "wss://odoo.example.com/pbx1"),
    ],
)
def test_the_address_is_one_that_a_client_can_use(given, url):
    console = settings.resolve({"console": given})["console"]
    assert address(console, "pbx1.example.com") == url
