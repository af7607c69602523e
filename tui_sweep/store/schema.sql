-- The journal of one sweep. One writer (the runner), any number of readers.

-- One row per attempt that ever left the initial state; a case without a row waits, attempt 0.
-- state and cause: the numbers of tui_sweep/core/states.py. Times: UNIX seconds.
-- revision grows with every change, so that a reader asks only for what is new.
CREATE TABLE IF NOT EXISTS attempts (
    "case"       INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    cause        INTEGER NOT NULL,
    exit_code    INTEGER,
    queued       REAL,
    submitted    REAL,
    started      REAL,
    ended        REAL,
    output_bytes INTEGER NOT NULL,
    reason       TEXT,
    status       TEXT,
    session      TEXT,
    revision     INTEGER NOT NULL,
    PRIMARY KEY ("case", attempt)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS attempts_by_revision ON attempts (revision);

-- Commands of viewers that were carried out: written in one transaction with their effect.
CREATE TABLE IF NOT EXISTS commands (
    name   TEXT PRIMARY KEY,
    at     REAL NOT NULL,
    verb   TEXT NOT NULL,
    answer TEXT NOT NULL
) WITHOUT ROWID;

-- What holds for the sweep as a whole, as JSON.
CREATE TABLE IF NOT EXISTS facts (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
