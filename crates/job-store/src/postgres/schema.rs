//! The tables. They are those of SQLite, in the same versions' order, with types of PostgreSQL.

use cluster_postgres::Part;

/// Jobs, their history, and what is kept beside them.
pub(super) const JOBS: Part = Part {
    name: "jobs",
    steps: &["
    -- seq: the order of submissions. Times and limits are in microseconds; times since 1970. A job continues without
    -- its client when return_* are null. state: see words.rs. since: when it began to wait, got a worker, or ended.
    CREATE TABLE jobs (
        seq BIGINT PRIMARY KEY,
        id BIGINT NOT NULL UNIQUE,
        client TEXT NOT NULL,
        pool TEXT NOT NULL,
        hint TEXT NOT NULL,
        urgent BOOLEAN NOT NULL,
        key TEXT,
        attempts_allowed BIGINT NOT NULL,
        queue_limit BIGINT,
        run_limit BIGINT,
        silence_limit BIGINT,
        return_closed BIGINT,
        return_silent BIGINT,
        return_restarted BIGINT,
        kind TEXT NOT NULL,
        description BYTEA,
        submitted BIGINT NOT NULL,
        fair_start BIGINT,
        state BIGINT NOT NULL,
        since BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        outcome TEXT,
        detail TEXT,
        exit_code BIGINT,
        attached BOOLEAN NOT NULL DEFAULT false
    );
    -- Descriptions are sealed: they cannot be compressed.
    ALTER TABLE jobs ALTER COLUMN description SET STORAGE EXTERNAL;
    CREATE UNIQUE INDEX jobs_by_key ON jobs (client, key) WHERE key IS NOT NULL;
    CREATE INDEX jobs_by_client ON jobs (client, seq);
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_end ON jobs (since) WHERE state > 1;
    CREATE INDEX ended_descriptions ON jobs (since) WHERE state > 1 AND description IS NOT NULL;

    CREATE TABLE attempts (
        job BIGINT NOT NULL,
        number BIGINT NOT NULL,
        worker TEXT NOT NULL,
        survives BOOLEAN NOT NULL,
        started BIGINT NOT NULL,
        ended BIGINT,
        \"end\" TEXT,
        detail TEXT,
        exit_code BIGINT,
        PRIMARY KEY (job, number)
    );

    CREATE TABLE labels (
        seq BIGINT NOT NULL,
        name TEXT COLLATE \"C\" NOT NULL,
        value TEXT COLLATE \"C\" NOT NULL,
        PRIMARY KEY (seq, name)
    );
    CREATE INDEX jobs_by_label ON labels (name, value, seq);

    -- What operators did. time: in microseconds since 1970, and different for each.
    CREATE TABLE audit (
        time BIGINT PRIMARY KEY,
        service TEXT NOT NULL,
        address TEXT NOT NULL,
        \"by\" TEXT NOT NULL,
        action TEXT NOT NULL,
        pool TEXT NOT NULL,
        object TEXT NOT NULL,
        detail TEXT NOT NULL,
        error TEXT NOT NULL
    );

    -- The logs that are whole. since: when they were. bytes: what they take of the disk or of the log store, null when
    -- they were removed. length: how long they are.
    CREATE TABLE logs (
        job BIGINT NOT NULL,
        number BIGINT NOT NULL,
        since BIGINT NOT NULL,
        bytes BIGINT,
        length BIGINT,
        PRIMARY KEY (job, number)
    );
    CREATE INDEX logs_by_end ON logs (since) WHERE bytes IS NOT NULL;

    -- The parts of attempts. started, ended: in microseconds since the beginning of the attempt; ended is null if that
    -- is not known. log_offset: the length of the log when it began.
    CREATE TABLE phases (
        job BIGINT NOT NULL,
        attempt BIGINT NOT NULL,
        number BIGINT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        log_offset BIGINT NOT NULL,
        started BIGINT NOT NULL,
        ended BIGINT,
        cached BOOLEAN NOT NULL,
        PRIMARY KEY (job, attempt, number)
    );
    "],
};
