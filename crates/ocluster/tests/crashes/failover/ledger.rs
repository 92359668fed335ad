//! What the database itself says of those who write to it, whatever the schedulers believe.
//!
//! Each scheduler has a user of its own. Triggers note who took each lease, who wrote under another one's lease, and
//! which job that had ended was changed.

use super::machines::Machines;

/// Each transaction of a scheduler begins with the table that is locked first, so none is under way.
const TRIGGERS: &str = r#"
LOCK TABLE ocluster.leadership;
CREATE SCHEMA ledger;
CREATE TABLE ledger.leaders (number BIGINT PRIMARY KEY, who TEXT NOT NULL);
CREATE TABLE ledger.breaches (what TEXT NOT NULL);
CREATE SEQUENCE ledger.alpha;
CREATE SEQUENCE ledger.beta;
INSERT INTO ledger.leaders SELECT number, 'alpha' FROM ocluster.leadership;

CREATE FUNCTION ledger.note_leader() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.leaders VALUES (NEW.number, session_user);
    RETURN NULL;
END $$;
CREATE TRIGGER note_leader AFTER UPDATE ON ocluster.leadership FOR EACH ROW
    WHEN (NEW.number <> OLD.number) EXECUTE FUNCTION ledger.note_leader();

CREATE FUNCTION ledger.note_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lead BIGINT;
    holder TEXT;
BEGIN
    PERFORM nextval(format('ledger.%I', session_user));
    SELECT leadership.number, leaders.who INTO lead, holder
        FROM ocluster.leadership LEFT JOIN ledger.leaders USING (number);
    IF holder IS DISTINCT FROM session_user THEN
        INSERT INTO ledger.breaches VALUES (
            format('%s wrote to %s under lease %s of %s', session_user, TG_TABLE_NAME, lead, holder));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger.note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.breaches VALUES (format('job %s had ended as %s (%s) and now has %s (%s)',
        OLD.seq, OLD.state, OLD.outcome, NEW.state, NEW.outcome));
    RETURN NULL;
END $$;
CREATE TRIGGER note_end AFTER UPDATE ON ocluster.jobs FOR EACH ROW
    WHEN (OLD.state > 1 AND (OLD.state, OLD.outcome, OLD.exit_code, OLD.attempts)
        IS DISTINCT FROM (NEW.state, NEW.outcome, NEW.exit_code, NEW.attempts))
    EXECUTE FUNCTION ledger.note_end();

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['batches', 'jobs', 'attempts', 'labels'] LOOP
        EXECUTE format('CREATE TRIGGER note_write AFTER INSERT OR UPDATE OR DELETE ON ocluster.%I
            FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_write()', name);
    END LOOP;
END $$;
"#;

/// Begins to note. The first scheduler must lead.
pub(super) async fn open(machines: &Machines) -> Result<(), String> {
    machines.sql(TRIGGERS).await.map(drop)
}

/// Returns the user of the database who has taken the latest lease.
pub(super) async fn leader(machines: &Machines) -> Result<String, String> {
    let latest = "SELECT who FROM ledger.leaders ORDER BY number DESC LIMIT 1";
    machines.sql(latest).await.map(|who| who.trim().to_owned())
}

/// Checks that only leaders have written, that what had ended was not changed, that a round's jobs have ended, and that
/// there is one of each name.
pub(super) async fn check(machines: &Machines, round: u64, names: usize) -> Result<(), String> {
    let breaches = machines.sql("SELECT what FROM ledger.breaches").await?;
    if !breaches.is_empty() {
        return Err(format!("the database has noted: {breaches}"));
    }
    let of_round = format!(
        "FROM ocluster.jobs WHERE seq IN
         (SELECT seq FROM ocluster.labels WHERE name = 'round' AND value = '{round}')"
    );
    let open = machines
        .sql(&format!(
            "SELECT seq, state, attempts {of_round} AND state <= 1"
        ))
        .await?;
    if !open.is_empty() {
        return Err(format!("jobs that have not ended: {open}"));
    }
    let count = machines.sql(&format!("SELECT count(*) {of_round}")).await?;
    if count.trim() != names.to_string() {
        return Err(format!("expected {names} jobs of the round, found {count}"));
    }
    let writes =
        "SELECT (SELECT last_value FROM ledger.alpha) + (SELECT last_value FROM ledger.beta)";
    match machines.sql(writes).await?.trim().parse::<u64>() {
        Ok(count) if count > names as u64 => Ok(()),
        found => Err(format!("the database has noted {found:?} writes")),
    }
}
