"""What is left out while the window starts, and that it is back afterwards."""

from __future__ import annotations

import gc
import os

import pytest

from tui_sweep.cli.start import painted, uncollected, unthreaded

THREADS = "OPENBLAS_NUM_THREADS"


@pytest.fixture
def unfrozen():
    yield
    gc.unfreeze()


def test_garbage_is_collected_again_once_a_screen_is_painted(unfrozen):
    with uncollected():
        assert not gc.isenabled()
        painted()
        assert gc.isenabled()
        assert gc.get_freeze_count()


def test_garbage_is_collected_again_when_no_screen_came():
    with pytest.raises(ValueError, match="none"), uncollected():
        raise ValueError("none")
    assert gc.isenabled()


def test_what_is_started_later_has_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    with unthreaded():
        assert os.environ[THREADS] == "1"
    assert THREADS not in os.environ


def test_a_number_of_threads_that_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv(THREADS, "3")
    with unthreaded():
        assert os.environ[THREADS] == "3"
    assert os.environ[THREADS] == "3"
