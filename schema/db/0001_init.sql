-- Drover's database, schema 1.
-- Columns are what one asks for by hand; `detail` is the whole record as JSON, which the scheduler
-- reads back. Times are microseconds since 1970 (select datetime(created_wall_us/1000000,'unixepoch')).

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id              INTEGER PRIMARY KEY,
    kind            TEXT NOT NULL,
    state           TEXT NOT NULL,
    ended           INTEGER NOT NULL CHECK (ended IN (0, 1)),
    host            TEXT,
    actor           TEXT,
    reason          TEXT,
    policy_commit   TEXT,
    created_wall_us INTEGER NOT NULL,
    started_wall_us INTEGER,
    ended_wall_us   INTEGER,
    vms             INTEGER NOT NULL,
    moved           INTEGER NOT NULL,
    blocked         INTEGER NOT NULL,
    stopped         INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    longest_pause_us INTEGER NOT NULL,
    message         TEXT,
    detail          TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;
CREATE INDEX runs_open ON runs (ended) WHERE ended = 0;

CREATE TABLE hosts (
    name          TEXT PRIMARY KEY NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT,
    actor         TEXT,
    since_wall_us INTEGER,
    seen_wall_us  INTEGER,
    run           INTEGER REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED,
    detail        TEXT NOT NULL CHECK (json_valid(detail))
) STRICT, WITHOUT ROWID;

-- The last known inventory, also of hosts that cannot be reached now.
CREATE TABLE vms (
    host          TEXT NOT NULL REFERENCES hosts (name) DEFERRABLE INITIALLY DEFERRED,
    uuid          TEXT NOT NULL,
    name          TEXT NOT NULL,
    state         TEXT NOT NULL,
    mem_bytes     INTEGER NOT NULL,
    vcpus         INTEGER NOT NULL,
    since_wall_us INTEGER NOT NULL,
    detail        TEXT NOT NULL CHECK (json_valid(detail)),
    PRIMARY KEY (host, uuid)
) STRICT, WITHOUT ROWID;

CREATE TABLE moves (
    id             INTEGER PRIMARY KEY,
    run            INTEGER NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED,
    vm             TEXT NOT NULL,
    vm_name        TEXT,
    from_host      TEXT,
    to_host        TEXT,
    state          TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    queued_wall_us INTEGER,
    copy_wall_us   INTEGER,
    ended_wall_us  INTEGER,
    proven_wall_us INTEGER,
    bytes          INTEGER,
    total_us       INTEGER,
    downtime_us    INTEGER,
    code           TEXT,
    error          TEXT,
    detail         TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;
CREATE INDEX moves_run ON moves (run);
CREATE INDEX moves_vm ON moves (vm);

-- Append-only. Written in the transaction of the decision it tells of, before any effect of it.
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    wall_us INTEGER NOT NULL,
    run     INTEGER,
    move    INTEGER,
    host    TEXT,
    vm      TEXT,
    actor   TEXT,
    kind    TEXT NOT NULL,
    text    TEXT NOT NULL,
    detail  TEXT
) STRICT;
CREATE INDEX journal_run ON journal (run, seq) WHERE run IS NOT NULL;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE (ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN
    SELECT RAISE (ABORT, 'the journal is append-only');
END;

-- Which policy was in force when; refused ones with their error.
CREATE TABLE policies (
    id             INTEGER PRIMARY KEY,
    loaded_wall_us INTEGER NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('in-force', 'refused')),
    revision       TEXT,
    clean          INTEGER NOT NULL CHECK (clean IN (0, 1)),
    dir            TEXT,
    message        TEXT
) STRICT;

-- Answers given to requests that carried an Idempotency-Key, so that a repetition after a lost
-- answer, or after a restart, gets the same one. Rows of more than a day are removed.
CREATE TABLE requests (
    key     TEXT NOT NULL,
    actor   TEXT NOT NULL,
    wall_us INTEGER NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)),
    reply   TEXT NOT NULL CHECK (json_valid(reply)),
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_age ON requests (wall_us);
