"""Pauses between tries."""

from pbxlib.backoff import Backoff, pause


def test_pauses_grow_to_the_cap_and_no_further():
    backoff = Backoff(first=1.0, cap=60.0)
    pauses = [backoff.next() for _ in range(12)]
    for waited, most in zip(pauses, [1, 2, 4, 8, 16, 32] + [60] * 6):
        assert most / 2 <= waited <= most


def test_pauses_are_jittered():
    assert len({Backoff(first=1.0).next() for _ in range(50)}) > 40


def test_a_success_begins_anew():
    backoff = Backoff(first=1.0)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


def test_no_number_of_failures_is_too_large():
    assert 300 <= pause(100_000, first=2, cap=600) <= 600
