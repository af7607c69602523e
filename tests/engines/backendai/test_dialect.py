"""What each server version is sent, and which are spoken to at all."""

from __future__ import annotations

import pytest

from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai.dialect import ACCEPTED, Dialect, dialect, run_ids

V23 = dialect("v7.20230615", "23.09.10", "m")
V25 = dialect("v8.20240915", "25.5.2", "m")
V26 = dialect("v9.20250722", "26.9.6", "m")


@pytest.mark.parametrize(
    ("announced", "sent"),
    [
        ("v7.20230615", "v7.20230615"),
        ("v7.20231231", "v7.20230615"),
        ("v8.20240315", "v8.20240315"),
        ("v8.20240915", "v8.20240915"),
        ("v8.20250101", "v8.20240915"),
        ("v9.20250722", "v9.20250722"),
        ("v9.20261212", "v9.20250722"),
        ("v10.20300101", "v9.20250722"),
    ],
)
def test_the_smaller_of_our_version_and_theirs_is_sent_and_none_is_invented(announced, sent):
    assert dialect(announced, "", "m").version == sent
    assert sent in ACCEPTED


@pytest.mark.parametrize("announced", ["v6.20230315", "v5.20191215", "v7.20230614", "v4.20181215"])
def test_a_server_that_is_too_old_is_refused_with_its_version(announced):
    with pytest.raises(EngineDenied, match="too old") as caught:
        dialect(announced, "22.09.1\x1b[2J", "old.example.com")
    assert announced in str(caught.value)
    assert "old.example.com" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("announced", ["", "9", "v9", "v9.2025", "v9.20250722.1", "vx.20250722"])
def test_a_server_that_announces_no_version_is_none(announced):
    with pytest.raises(EngineDenied, match="BACKEND_ENDPOINT"):
        dialect(announced, "26.9.6", "m")


def test_keys_that_a_server_would_refuse_are_not_among_those_it_is_sent():
    assert V23.top_keys | {"priority", "batch_timeout"} == V25.top_keys
    assert V23.config_keys | {"mount_options", "attach_network"} == V25.config_keys
    assert {"mount_ids", "mount_id_map"} <= V26.config_keys - V25.config_keys
    assert not V26.top_keys & V26.config_keys
    assert V23.create_keys < V25.create_keys < V26.create_keys


@pytest.mark.parametrize("one", [V23, V25, V26], ids=lambda one: one.manager)
def test_no_server_version_is_without_what_every_session_needs(one: Dialect):
    needed = {"name", "image", "type", "startupCommand", "enqueueOnly", "reuseIfExists", "bootstrap_script"}
    assert needed <= one.top_keys
    assert {"environ", "resources", "mounts", "mount_map"} <= one.config_keys


def test_what_the_notes_tell_of_the_three_servers():
    assert [one.delete_needs_force_while_starting for one in (V23, V25, V26)] == [True, True, False]
    assert [one.can_upload for one in (V23, V25, V26)] == [True, False, True]
    assert [one.logs_by_id_only for one in (V23, V25, V26)] == [False, False, True]
    assert [one.sse_has_exit_code for one in (V23, V25, V26)] == [True, True, False]
    assert [one.sse_tells_starts for one in (V23, V25, V26)] == [False, True, True]
    assert [one.query_has_exit_code for one in (V23, V25, V26)] == [False, False, True]
    assert [one.tells_why_pending for one in (V23, V25, V26)] == [True, True, False]
    assert [one.pending_limit_at_creation for one in (V23, V25, V26)] == [False, False, True]
    assert [one.has_pending_limit for one in (V23, V25, V26)] == [False, True, True]
    assert [one.has_requested_slots for one in (V23, V25, V26)] == [False, True, True]
    assert [one.queue_position for one in (V23, V25, V26)] == [False, False, True]
    assert [one.slow_by_name for one in (V23, V25, V26)] == [True, False, False]
    assert {one.sse_scope for one in (V23, V25, V26)} == {"*"}


@pytest.mark.parametrize(
    ("manager", "known"),
    [
        ("25.13.0", True),
        ("25.12.9", False),
        ("26.8.0rc1", True),
        ("nonsense", False),
        ("", False),
        ("9" * 99, False),
    ],
)
def test_what_a_release_brought_is_used_from_that_release_on(manager, known):
    assert dialect("v9.20250722", manager, "m").queue_position is known


def test_a_run_is_named_in_both_ways():
    assert run_ids("ab") == {"runId": "ab", "run_id": "ab"}
