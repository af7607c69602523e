"""What the runner hands to the journal, and who waits for it."""

import asyncio

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.scheduler import Scheduler
from tui_sweep.core.states import Event, State
from tui_sweep.core.sweep import Sweep
from tui_sweep.run.records import Records
from tui_sweep.store.journal import Journal, Reader, create

MANY = 1000
"""Rows of one entry, too many to be committed in place."""


async def everything_launched(path):
    """A journal that has just been handed MANY rows, and the records that did so."""
    create(path, {})
    journal, table = Journal(path), CaseTable(MANY)
    for index in range(MANY):
        table.move(index, Event.LAUNCH, 1.0)
    records = Records(journal, table, Scheduler(Sweep(image="sh", engine="local"), table))
    records.flush()
    return journal, records


def test_who_waits_while_nothing_changes_waits_for_the_entry_that_is_under_way(tmp_path):
    async def main():
        journal, records = await everything_launched(tmp_path / "sweep.db")
        for _ in range(MANY):
            records.flush()
        assert not records.written.done()
        assert journal._lent == 1, "one entry for all of them"
        async with asyncio.timeout(20):
            await asyncio.gather(*(records.committed() for _ in range(MANY)))
        reader = Reader(tmp_path / "sweep.db")
        assert {row.state for row in reader.changed(0)} == {State.SUBMITTING}
        reader.close()
        records.flush()
        assert records.written.done(), "nothing is under way"
        await records.committed()
        await journal.close()

    asyncio.run(main())


def test_who_gave_up_waiting_is_no_trouble_to_the_others(tmp_path):
    async def main():
        journal, records = await everything_launched(tmp_path / "sweep.db")
        gone, patient = (asyncio.create_task(records.committed()) for _ in range(2))
        await asyncio.sleep(0)
        assert gone.cancel()
        async with asyncio.timeout(20):
            await patient
        assert gone.cancelled()
        await journal.close()

    asyncio.run(main())
