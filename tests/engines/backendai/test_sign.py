"""Every vector that the official function made, and what must never be seen."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tui_sweep.engines.backendai.sign import Key, Signed, authorization

VECTORS = json.loads((Path(__file__).parent / "sign-vectors.json").read_text())


def signed(vector: dict[str, Any]) -> Signed:
    return Signed(
        vector["method"],
        vector["rel_url"],
        datetime.fromisoformat(vector["date_header"]),
        vector["host"],
        vector["content_type"],
        vector["version"],
    )


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{v['method']} {v['rel_url']}" for v in VECTORS])
def test_a_request_is_signed_as_the_official_client_signs_it(vector):
    request = signed(vector)
    assert request.date == vector["date_header"]
    assert request.text(vector["hash"]) == vector["string_to_sign"]
    key = Key(vector["access_key"], vector["secret_key"])
    assert authorization(key, request, vector["hash"]) == vector["authorization"]


def test_there_are_vectors_for_every_kind_of_request():
    assert {v["content_type"] for v in VECTORS} >= {
        *("text/plain", "application/json", "multipart/form-data", "application/octet-stream")
    }
    assert {v["hash"] for v in VECTORS} == {"sha256", "sha1"}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"target": "/session/abcd1234?"},
        {"host": "127.0.0.1:8082"},
        {"content_type": "application/json"},
        {"version": "v8.20240915"},
        {"at": datetime.fromisoformat("2026-08-23T01:02:03.456788+00:00")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_changed_on_the_way_the_signature_is_another(change):
    from dataclasses import replace

    vector = VECTORS[0]
    key = Key(vector["access_key"], vector["secret_key"])
    assert authorization(key, replace(signed(vector), **change)) != vector["authorization"]


def test_a_key_that_is_printed_does_not_tell_its_secret():
    assert "hush" not in repr(Key("AKIA", "hush"))
