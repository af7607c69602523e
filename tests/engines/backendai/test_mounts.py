"""Mounts: the three notations of `backend.ai run -v`."""

import pytest

from tui_sweep.core.errors import UsageError
from tui_sweep.engines.backendai.mounts import Mount, config, parse_mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data", Mount("data")),
        ("data/sub", Mount("data/sub")),
        ("data:/mnt/d", Mount("data", "/mnt/d")),
        ("data=/mnt/d", Mount("data", "/mnt/d")),
        ("data:/mnt/a=b", Mount("data", "/mnt/a=b")),
        ("type=bind,source=data,target=/mnt/d", Mount("data", "/mnt/d")),
        ("source=data", Mount("data")),
        ("type=bind,source=a:b,target=/x,readonly", Mount("a:b", "/x", "ro")),
        ("src=data,dst=/x,readonly=false", Mount("data", "/x")),
        ("source=data,permission=rw,subpath=y", Mount("data", None, "rw", "bind", "y")),
    ],
)
def test_every_notation_is_read(text, mount):
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("", ""),
        (":/mnt", ":/mnt"),
        ("data:", "data:"),
        ("source=,target=/x", "source="),
        ("type=bind,target=/x", "type=bind,target=/x"),
        ("type=bind,sauce=x", "sauce=x"),
        ("source=x,permission=everything", "source=x,permission=everything"),
    ],
)
def test_what_is_no_mount_is_refused_at_its_place(text, marked):
    with pytest.raises(UsageError) as caught:
        parse_mount(text)
    first, last = caught.value.span
    assert caught.value.text[first:last] == marked


def test_the_body_has_three_keys_and_no_empty_ones():
    assert config([]) == {}
    assert config([Mount("a")]) == {"mounts": ["a"]}
    assert config([Mount("a", "/x"), Mount("b", None, "ro")]) == {
        "mounts": ["a", "b"],
        "mount_map": {"a": "/x"},
        "mount_options": {"b": {"type": "bind", "permission": "ro"}},
    }
