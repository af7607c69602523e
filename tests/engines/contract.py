"""What every engine has to do, as tests. An engine's own file subclasses ``EngineContract``::

    class TestLocal(EngineContract):
        module = local
        image = "sh"

and says with ``place`` how its world is set up, where the default will not do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tui_sweep.core.session import Report, SessionSpec, session_name
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import ENDINGS, Event
from tui_sweep.core.sweep import STAR, Sweep
from tui_sweep.engines.base import Engine, EngineModule, Setting

LIMIT = 20.0
"""Seconds after which a test that waits has failed."""


@dataclass(frozen=True)
class Folder:
    """A Sink: one folder of ``tmp_path``."""

    folder: Path

    def create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def stdout(self) -> Path:
        return self.folder / "stdout"

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr"

    @property
    def exit(self) -> Path:
        return self.folder / "exit"


class Bench:
    """A sweep's surroundings without a runner: where its attempts' folders are, and its engines."""

    def __init__(self, module: EngineModule, image: str, root: Path, sweep_id: str = "ab12cd34") -> None:
        self.module = module
        self.root = root
        self.sweep_id = sweep_id
        self.sweep = Sweep(image=image, engine="", slots=Slots({"cpu": "0.01"}), grace=10.0)
        self.environ: dict[str, str] = dict(os.environ)

    def ask(self, **changes: Any) -> Bench:
        """Change the sweep."""
        self.sweep = replace(self.sweep, **changes)
        return self

    def setting(self) -> Setting:
        prepared = self.module.prepare(self.sweep, environ=self.environ, cwd=self.root)
        return Setting(self.sweep_id, self.sweep, prepared.place, self.root / "files")

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        engine = self.module.engine(self.setting())
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()

    def spec(self, exec: str = STAR, case: int = 0, attempt: int = 0, **changes: Any) -> SessionSpec:  # noqa: A002
        folder = self.root / "out" / f"{case:06d}.{attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        env = {"SWEEP_ID": self.sweep_id, "SWEEP_CASE": str(case), "SWEEP_ATTEMPT": str(attempt)}
        spec = SessionSpec(
            name=session_name(self.sweep_id, None, case, attempt),
            case=case,
            attempt=attempt,
            env=env | {"PYTHONUNBUFFERED": "1"} | changes.pop("env", {}),
            clean=STAR,
            build=STAR,
            exec=exec,
            slots=self.sweep.slots,
            sink=Folder(folder),
        )
        return replace(spec, **changes)


async def start(engine: Engine, spec: SessionSpec) -> None:
    """Admit and submit, as the runner does."""
    assert engine.admit(spec) is None
    await engine.submit(spec)


async def follow(engine: Engine, spec: SessionSpec) -> list[Report]:
    """Everything told of a session until its end."""
    reports = []
    async with asyncio.timeout(LIMIT):
        async for report in engine.follow(spec):
            reports.append(report)  # noqa: PERF401 (the timeout's traceback shows how far it came)
    assert reports[-1].event in ENDINGS
    return reports


async def run(engine: Engine, *specs: SessionSpec) -> list[Report]:
    """The ends of sessions that run together."""
    for spec in specs:
        await start(engine, spec)
    return [(await follow(engine, spec))[-1] for spec in specs]


async def until(condition: Any, what: str = "") -> Any:
    """``wait_until`` beside a running engine."""
    return await asyncio.to_thread(wait_until, condition, LIMIT, what)


class EngineContract:
    """The tests. Commands are plain sh."""

    module: EngineModule
    image = "sh"

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        """The sweep under test."""
        return Bench(self.module, self.image, tmp_path)

    def test_exit_code_0_is_told_as_success(self, bench: Bench) -> None:
        async def main() -> Sequence[Report]:
            async with bench.engine() as engine:
                spec = bench.spec("true")
                await start(engine, spec)
                return await follow(engine, spec)

        first, *_, last = asyncio.run(main())
        assert first.event in (Event.ACCEPTED, Event.PREPARING, Event.STARTED)
        assert (last.event, last.exit_code, last.reason) == (Event.SUCCEEDED, 0, None)

    def test_another_exit_code_is_told_as_failure_with_a_cause(self, bench: Bench) -> None:
        async def main() -> Sequence[Report]:
            async with bench.engine() as engine:
                return await run(engine, bench.spec("exit 3"))

        (end,) = asyncio.run(main())
        assert (end.event, end.exit_code, end.reason) == (Event.ERRED, 3, "exit 3")

    def test_output_is_kept_byte_for_byte(self, bench: Bench) -> None:
        text = r"printf 'a\000b\377\303(\r\033[2Jend'; printf 'e\000\200' >&2"

        async def main() -> None:
            async with bench.engine() as engine:
                await run(engine, bench.spec(text))

        asyncio.run(main())
        sink = bench.spec().sink
        assert sink.stdout.read_bytes() == b"a\0b\xff\xc3(\r\033[2Jend"
        assert sink.stderr.read_bytes() == b"e\0\x80"

    def test_variables_arrive_exactly(self, bench: Bench) -> None:
        value = " [/oops] $HOME `x` \"'\n\t\\ 한글 "

        async def main() -> None:
            async with bench.engine() as engine:
                await run(
                    engine, bench.spec("""printf '%s|%s' "$X" "$SWEEP_CASE" """, case=7, env={"X": value})
                )

        asyncio.run(main())
        assert bench.spec(case=7).sink.stdout.read_text() == f"{value}|7"

    def test_submitting_twice_under_one_name_runs_once(self, bench: Bench) -> None:
        async def main() -> list[Report]:
            spec = bench.spec("echo once")
            async with bench.engine() as engine:
                await start(engine, spec)
                await engine.submit(spec)
                first = await follow(engine, spec)
                await engine.submit(spec)
                again = await follow(engine, spec)
            async with bench.engine() as other:
                await other.submit(spec)
                third = await follow(other, spec)
            return [first[-1], again[-1], third[-1]]

        ends = asyncio.run(main())
        assert {end.event for end in ends} == {Event.SUCCEEDED}
        assert bench.spec().sink.stdout.read_bytes() == b"once\n"

    def test_another_engine_follows_to_the_same_end(self, bench: Bench) -> None:
        async def main() -> list[Report]:
            spec, gate = bench.spec("while [ ! -e $GATE ]; do sleep 0.05; done; exit 9"), bench.root / "gate"
            spec = replace(spec, env={**spec.env, "GATE": str(gate)})
            async with bench.engine() as engine:
                await start(engine, spec)
            async with bench.engine() as other:
                found = await other.find([spec])
                assert found[spec.name].event is Event.STARTED
                gate.touch()
                first = await follow(other, spec)
            async with bench.engine() as third:
                return [first[-1], (await third.find([spec]))[spec.name], (await follow(third, spec))[-1]]

        ends = asyncio.run(main())
        assert [(end.event, end.exit_code, end.reason) for end in ends] == [(Event.ERRED, 9, "exit 9")] * 3
        assert len({end.at for end in ends}) == 1

    def test_cancelling_ends_a_session(self, bench: Bench) -> None:
        async def main() -> Report:
            async with bench.engine() as engine:
                spec = bench.spec("sleep 1000; true")
                await start(engine, spec)
                await engine.cancel(spec.name, grace=5)
                return (await follow(engine, spec))[-1]

        assert asyncio.run(main()).event in ENDINGS

    def test_cancelling_what_ended_or_never_was_is_silent(self, bench: Bench) -> None:
        async def main() -> None:
            async with bench.engine() as engine:
                spec = bench.spec("true")
                await run(engine, spec)
                await engine.cancel(spec.name, grace=0)
                await engine.cancel("ab12cd34-12345", grace=0)
                assert (await engine.find([spec]))[spec.name].event is Event.SUCCEEDED

        asyncio.run(main())

    def test_find_leaves_out_what_is_not_known(self, bench: Bench) -> None:
        async def main() -> dict[str, Report]:
            async with bench.engine() as engine:
                known, unknown = bench.spec("true"), bench.spec("true", case=1)
                await run(engine, known)
                return await engine.find([known, unknown])

        assert list(asyncio.run(main())) == ["ab12cd34-0"]

    def test_live_names_what_runs_and_nothing_else(self, bench: Bench) -> None:
        async def main() -> None:
            async with bench.engine() as engine:
                ended, running = bench.spec("true"), bench.spec("sleep 1000", case=1)
                await run(engine, ended)
                await start(engine, running)
                assert await engine.live() == [running.name]
                await engine.cancel(running.name, grace=1)
                await follow(engine, running)
                assert await engine.live() == []

        asyncio.run(main())

    def test_room_that_was_taken_can_be_given_back(self, bench: Bench) -> None:
        async def main() -> None:
            async with bench.engine() as engine:
                spec = bench.spec("true")
                assert engine.admit(spec) is None
                engine.withdraw(spec.name)
                engine.withdraw("never-taken-0")
                assert await engine.find([spec]) == {}
                assert (await run(engine, spec))[0].event is Event.SUCCEEDED

        asyncio.run(main())

    def test_facts_name_the_capacity(self, bench: Bench) -> None:
        async def main() -> None:
            async with bench.engine() as engine:
                facts = await engine.facts()
                assert facts.reachable
                assert set(facts.capacity["cpu"]) >= {"total", "used"}

        asyncio.run(main())
