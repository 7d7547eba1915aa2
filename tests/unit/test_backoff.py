"""Pauses between tries."""

from pbxlib.backoff import Backoff


def test_pauses_grow_to_the_cap_and_no_further():
    backoff = Backoff(first=1.0, cap=60.0)
    pauses = [backoff.next() for _ in range(12)]
    for pause, most in zip(pauses, [1, 2, 4, 8, 16, 32] + [60] * 6):
        assert most / 2 <= pause <= most


def test_pauses_are_jittered():
    assert len({Backoff(first=1.0).next() for _ in range(50)}) > 40


def test_a_success_begins_anew():
    backoff = Backoff(first=1.0)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


def test_what_only_a_person_can_mend_waits_longest():
    backoff = Backoff(first=1.0, cap=60.0)
    assert 30 <= backoff.longest() <= 60
    assert 30 <= backoff.next() <= 60
