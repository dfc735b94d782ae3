"""A lease is renewed while its holder lives, and runs out by the watcher's own clock."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

import pytest

from cvtrain.runs import directory_lock
from cvtrain.runs.directory_lock import LEASE_FILE, Lease, LeaseWatch

SECONDS = 1.8


def becomes(condition: Callable[[], bool], within: float = 20.0) -> bool:
    until = time.monotonic() + within
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def held(tmp_path):
    made = Lease(tmp_path, SECONDS)
    made.open()
    yield made
    made.close()


@pytest.fixture
def clock(monkeypatch):
    """What `monotonic` says, to be set; times of files are what they are."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(directory_lock, "monotonic", lambda: Clock.now)
    return Clock


def write(directory, content: bytes) -> None:
    (directory / LEASE_FILE).write_bytes(content)


def test_a_lease_is_renewed_as_long_as_it_is_held(tmp_path, held):
    path = tmp_path / LEASE_FILE
    seen = path.read_bytes()
    size = path.stat().st_size
    assert becomes(lambda: path.read_bytes() > seen)
    assert path.stat().st_size == size
    held.close()
    assert not path.exists()


def test_a_lease_that_changes_does_not_run_out_and_one_that_stays_does(tmp_path, clock):
    write(tmp_path, b"1\n")
    watch = LeaseWatch(tmp_path, 180)
    for count in range(2, 9):
        clock.now += 170
        write(tmp_path, b"%d\n" % count)
        assert not watch.expired()
    clock.now += 179
    assert not watch.expired()
    clock.now += 2
    assert watch.expired()


def test_neither_the_time_of_the_file_nor_its_disappearance_is_a_renewal(tmp_path, clock):
    write(tmp_path, b"1\n")
    watch = LeaseWatch(tmp_path, 180)
    assert not watch.expired()
    clock.now = 100.0
    (tmp_path / LEASE_FILE).unlink()
    assert not watch.expired()
    clock.now = 150.0
    write(tmp_path, b"1\n")
    os.utime(tmp_path / LEASE_FILE, (2**31, 2**31))
    assert not watch.expired()
    clock.now = 181.0
    assert watch.expired()


def test_a_lease_that_never_was_there_runs_out(tmp_path, clock):
    watch = LeaseWatch(tmp_path, 180)
    assert not watch.expired()
    clock.now = 181.0
    assert watch.expired()


def test_a_file_that_was_removed_is_made_again(tmp_path, held):
    path = tmp_path / LEASE_FILE
    seen = path.read_bytes()
    path.unlink()
    assert becomes(lambda: path.exists() and path.read_bytes() > seen)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ESTALE, errno.EIO])
def test_a_renewal_that_fails_is_tried_again(tmp_path, held, monkeypatch, number):
    path = tmp_path / LEASE_FILE
    failed = []
    write_there = os.pwrite

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        if len(failed) < 2:
            failed.append(content)
            raise OSError(number, os.strerror(number))
        return write_there(descriptor, content, offset)

    monkeypatch.setattr(directory_lock.os, "pwrite", pwrite)
    assert becomes(lambda: len(failed) == 2)
    assert becomes(lambda: path.read_bytes() > failed[-1])
