-- A database of version 1, with a queued job, a running one, and one that has ended.
PRAGMA journal_mode = WAL;
-- seq: the order of submissions. Times and limits are in microseconds; times since 1970. A job continues without
-- its client when return_* are null. state: see words.rs. since: when it began to wait, got a worker, or ended.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    client TEXT NOT NULL,
    pool TEXT NOT NULL,
    hint TEXT NOT NULL,
    urgent INTEGER NOT NULL,
    key TEXT,
    attempts_allowed INTEGER NOT NULL,
    queue_limit INTEGER,
    run_limit INTEGER,
    silence_limit INTEGER,
    return_closed INTEGER,
    return_silent INTEGER,
    return_restarted INTEGER,
    kind TEXT NOT NULL,
    description BLOB,
    submitted INTEGER NOT NULL,
    fair_start INTEGER,
    state INTEGER NOT NULL,
    since INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    outcome TEXT,
    detail TEXT,
    exit_code INTEGER
) STRICT;
CREATE UNIQUE INDEX jobs_by_key ON jobs (client, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_by_client ON jobs (client, seq);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE INDEX jobs_by_end ON jobs (since) WHERE state > 1;

CREATE TABLE attempts (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    survives INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    end TEXT,
    detail TEXT,
    exit_code INTEGER,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE labels (
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (seq, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_label ON labels (name, value, seq);

INSERT INTO jobs VALUES (1, 1001, 'alice', 'linux', 'hint', 0, 'key', 3, 60000000, NULL, NULL, NULL, NULL, NULL, 'docker',
    x'0102', 1000000, 500000, 0, 1000000, 0, NULL, NULL, NULL);
INSERT INTO jobs VALUES (2, 1002, 'alice', 'linux', '', 1, NULL, 3, NULL, NULL, NULL, 1000000, 2000000, 3000000, 'obuilder',
    x'03', 2000000, NULL, 1, 2500000, 2, NULL, NULL, NULL);
INSERT INTO jobs VALUES (3, 1003, 'bob', 'linux', '', 0, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 'docker',
    NULL, 3000000, NULL, 3, 4000000, 1, 'failed', '', 2);
INSERT INTO attempts VALUES (1002, 1, 'w1', 0, 2100000, 2200000, 'worker-gone', NULL, NULL);
INSERT INTO attempts VALUES (1002, 2, 'w2', 1, 2500000, NULL, NULL, NULL, NULL);
INSERT INTO attempts VALUES (1003, 1, 'w1', 0, 3500000, 4000000, 'failed', '', 2);
INSERT INTO labels VALUES (1, 'branch', 'main');
PRAGMA application_id = 0x4f434a42;
PRAGMA user_version = 1;
