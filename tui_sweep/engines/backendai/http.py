"""aiohttp, without the certificates that its import reads: 40 ms, a tenth of a start, for two contexts that
nobody here uses (transport.py makes its own where it needs one).
``from tui_sweep.engines.backendai.http import aiohttp`` where it may be imported for the first time."""

from __future__ import annotations

import os

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_told = {name: os.environ.get(name) for name in _PLACES}
os.environ.update(dict.fromkeys(_PLACES, os.devnull))
import aiohttp  # noqa: E402 - OpenSSL looks at the variables each time, this once at ours

for _name, _value in _told.items():
    if _value is None:
        del os.environ[_name]
    else:
        os.environ[_name] = _value

__all__ = ["aiohttp"]
