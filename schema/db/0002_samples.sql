-- CPU load of VMs and hosts, so that a restart does not forget the last day: a row each, overwritten
-- about every half hour. Thousandths of a CPU; NULL: not known. `detail` has the slots.

CREATE TABLE samples (
    host     TEXT NOT NULL,
    vm       TEXT NOT NULL, -- UUID; '' for the host itself
    name     TEXT NOT NULL,
    wall_us  INTEGER NOT NULL,
    h1_mcpu  INTEGER,
    d1_mcpu  INTEGER,
    p95_mcpu INTEGER,
    detail   TEXT NOT NULL CHECK (json_valid(detail)),
    PRIMARY KEY (host, vm)
) STRICT, WITHOUT ROWID;
