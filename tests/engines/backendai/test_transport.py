"""Everything that can happen on the way to a server has one sentence that names the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.backendai.sites import KEY, Site, configured, serving, talking
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.transport import Answer, Transport, Wish
from tui_sweep.engines.backendai.verdicts import Unanswered

GET = Wish("GET", "/x")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost alone, that nobody but its maker has signed; its key is in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    key, cert = both.with_name("key.pem"), both.with_name("cert.pem")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + cert.read_text())
    return both


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def sent(endpoint: str, *, timeout: float = 5.0, **changes: Any) -> Answer | Unanswered:
    """What becomes of one request."""
    transport = Transport(configured(endpoint, **changes))
    try:
        return await transport.send(GET, endpoint, timeout=timeout)
    except Unanswered as error:
        assert error.__cause__ is None
        assert KEY.secret_key not in str(error)
        return error
    finally:
        await transport.close()


def test_a_request_is_answered():
    async def main():
        async with serving(Site()) as site:
            answer = await sent(site.url)
            assert isinstance(answer, Answer)
            assert answer.status == 404
            assert answer.json()["title"] == "url-not-found"
            assert answer.headers["content-type"].startswith("application/problem+json")

    asyncio.run(main())


def test_ipv6_is_spoken():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")

    async def main():
        async with serving(Site(), host="::1") as site:
            assert site.url.startswith("http://[::1]:")
            client = Client(configured(site.url))
            await client.open()
            assert site.seen[-1].headers["Host"] == site.url.removeprefix("http://")
            await client.close()

    asyncio.run(main())


def test_a_server_that_is_not_there_is_said_to_refuse_and_nothing_was_sent():
    async def main():
        async with serving(Site()) as site:
            url = site.url
        error = await sent(url)
        assert isinstance(error, Unanswered)
        assert not error.sent
        assert f"{url.removeprefix('http://')} refuses connections" in str(error)

    asyncio.run(main())


def test_a_name_that_nobody_knows_is_said_to_be_unknown():
    error = asyncio.run(sent("https://no-such-host.invalid:8443"))
    assert isinstance(error, Unanswered)
    assert not error.sent
    assert "no-such-host.invalid:8443 cannot be looked up" in str(error)


@pytest.fixture
def deaf() -> Iterator[str]:
    """A port whose queue of connections is full: it takes no more, and says nothing."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_takes_no_connection_is_given_up_after_the_time_set_for_that(deaf):
    error = asyncio.run(sent(deaf, connection_timeout=0.1))
    assert isinstance(error, Unanswered)
    assert not error.sent
    assert "took no connection within 0.1 s" in str(error)


def test_a_server_that_never_answers_is_given_up_and_may_have_heard():
    async def main():
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with talking(silent) as where:
            error = await sent(f"http://{where}", timeout=0.1)
            assert isinstance(error, Unanswered)
            assert error.sent
            assert f"{where} gave no answer within 0.1 s" in str(error)
            error = await sent(f"http://{where}", read_timeout=0.05)
            assert isinstance(error, Unanswered)
            assert "fell silent for 0.05 s" in str(error)

    asyncio.run(main())


def test_a_server_that_drips_its_answer_is_given_up():
    async def main():
        async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not writer.is_closing():
                    writer.write(b"x")
                    await asyncio.sleep(0.01)

        async with talking(dripping) as where:
            error = await sent(f"http://{where}", timeout=0.15)
            assert isinstance(error, Unanswered)
            assert "no answer within 0.15 s" in str(error)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "broke the connection off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "no HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
            "middle of its answer",
        ),
    ],
    ids=["nothing", "ssh", "half", "half a chunk", "a huge header", "no gzip"],
)
def test_what_is_no_answer_is_told_as_what_it_is(raw, said):
    async def main():
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            writer.close()

        async with talking(say) as where:
            error = await sent(f"http://{where}")
            assert isinstance(error, Unanswered)
            assert error.sent
            assert said in str(error)
            assert where in str(error)

    asyncio.run(main())


def test_a_connection_that_is_reset_is_told():
    async def main():
        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

        async with talking(reset) as where:
            error = await sent(f"http://{where}")
            assert isinstance(error, Unanswered)
            assert "broke the connection off" in str(error)

    asyncio.run(main())


# -- TLS ---------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_it_is_trusted(certificate, monkeypatch):
    async def main():
        async with serving(Site(), host="localhost", tls=server_side(certificate)) as site:
            error = await sent(site.url)
            assert isinstance(error, Unanswered)
            assert not error.sent
            assert "does not verify (self-signed certificate)" in str(error)
            assert "SSL_CERT_FILE" in str(error)
            assert site.seen == []
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert isinstance(await sent(site.url), Answer)
            client = Client(configured(site.url))
            await client.open()
            await client.close()

    asyncio.run(main())


def test_a_certificate_of_another_host_is_refused(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def main():
        async with serving(Site(), tls=server_side(certificate)) as site:
            error = await sent(site.url)
            assert isinstance(error, Unanswered)
            assert "does not verify" in str(error)
            assert "127.0.0.1" in str(error)

    asyncio.run(main())


def test_certificates_are_not_looked_at_when_that_is_switched_off(certificate):
    async def main():
        async with serving(Site(), tls=server_side(certificate)) as site:
            assert isinstance(await sent(site.url, skip_ssl_validation=True), Answer)

    asyncio.run(main())


def test_https_to_a_port_that_speaks_http_is_told():
    async def main():
        async with serving(Site()) as site:
            error = await sent(site.url.replace("http:", "https:"))
            assert isinstance(error, Unanswered)
            assert not error.sent
            assert "is it https:// on this port?" in str(error)

    asyncio.run(main())


def test_http_to_a_port_that_speaks_https_is_told(certificate):
    async def main():
        async with serving(Site(), tls=server_side(certificate)) as site:
            error = await sent(site.url.replace("https:", "http:"))
            assert isinstance(error, Unanswered)
            assert site.url.removeprefix("https://") in str(error)

    asyncio.run(main())


def test_no_certificates_are_read_before_they_are_needed(certificate):
    code = (
        "import os, ssl\n"
        "before = dict(os.environ)\n"
        "from tui_sweep.engines.backendai.transport import aiohttp\n"
        "assert dict(os.environ) == before\n"
        "for one in aiohttp.connector._SSL_CONTEXT_VERIFIED, ssl.create_default_context():\n"
        "    print(one.cert_store_stats()['x509'])\n"
    )
    environ = {**os.environ, "SSL_CERT_FILE": str(certificate), "SSL_CERT_DIR": os.devnull}
    words = [sys.executable, "-c", code]
    told = subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["0", "1"]
