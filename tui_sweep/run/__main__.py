"""A detached runner: ``python -m tui_sweep.run FOLDER DESCRIPTOR`` (see launch.py).

stdout and stderr are the sweep's ``run.log``. SIGTERM: start nothing more, commit, leave the cases.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from tui_sweep.core.errors import SweepError
from tui_sweep.run.garbage import collect_rarely
from tui_sweep.run.launch import HandShake
from tui_sweep.run.log import log_to
from tui_sweep.run.runner import open_runner
from tui_sweep.store.layout import SweepDir

log = logging.getLogger(__name__)


async def _serve(folder: SweepDir, launcher: HandShake) -> None:
    runner = open_runner(folder)
    collect_rarely()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, runner.leave)
    loop.add_signal_handler(signal.SIGINT, runner.leave)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    await runner.run(ready=lambda: launcher.tell(ready=True))


def main() -> None:
    """Run the sweep of ``argv[1]``, answer on the descriptor ``argv[2]``."""
    folder, launcher = SweepDir(Path(sys.argv[1])), HandShake(int(sys.argv[2]))
    log_to(folder.log)
    try:
        asyncio.run(_serve(folder, launcher))
    except SweepError as error:
        log.error("the runner ends: %s", error)
        launcher.tell(error=str(error), exit_code=error.exit_code)
        sys.exit(error.exit_code)
    except Exception as error:
        log.exception("our own fault, the runner ends; its cases go on")
        launcher.tell(error=f"internal error: {error!r}; the traceback is in {folder.log}", exit_code=70)
        sys.exit(70)


if __name__ == "__main__":
    main()
