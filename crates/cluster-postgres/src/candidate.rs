//! The lease, as a scheduler that leads or waits for it asks about it.
//!
//! What is asked here is short, and does not wait for the disk, except for taking the lease. So a database that takes
//! seconds for a commit costs no lease. Each question is one statement, and so one transaction: a scheduler that is
//! frozen holds up nobody.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::link::{Link, Purpose};
use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, Lease, OpenError, schema, text};

/// After which time without an answer a question has failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How many other schedulers are told of at most.
const MAX_PEERS: i64 = 16;

/// The id of a scheduler: random, and the same after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchedulerId(i64);

impl SchedulerId {
    /// Returns the id with this number. The highest bit is left out, as numbers of the database have a sign.
    pub const fn new(number: u64) -> Self {
        Self((number & i64::MAX.unsigned_abs()).cast_signed())
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// What a scheduler notes about itself.
#[derive(Clone, Debug)]
pub struct SchedulerRow {
    /// Its id.
    pub id: SchedulerId,
    /// Its host and process, for people.
    pub name: String,
    /// Where peers connect when it leads.
    pub address: String,
    /// Where its pages are; empty if it has none.
    pub pages: String,
    /// The fingerprint of its key, which all schedulers of a cluster share.
    pub key: String,
}

/// Another scheduler, as it noted itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its id.
    pub id: SchedulerId,
    /// Its host and process.
    pub name: String,
    /// Where peers connect when it leads.
    pub address: String,
    /// Where its pages are; empty if it has none.
    pub pages: String,
    /// How long ago it looked at the lease, in seconds by the clock of the database; below 0 after that was set back.
    pub age: f64,
    /// Whether it could connect to the leader.
    pub reaches_leader: bool,
}

/// The lease, as a standby sees it.
#[derive(Clone, Debug)]
pub struct Look {
    /// The number of the latest lease; 0 if nobody has led yet.
    pub number: u64,
    /// How often that was renewed.
    pub renewals: u64,
    /// Who has it; `None` if it was given up.
    pub holder: Option<SchedulerId>,
    /// What that one noted about itself.
    pub leader: Option<Peer>,
    /// Whether it has expired, by the clock of the database.
    pub has_expired: bool,
    /// How long ago this scheduler gave it up so that another one leads; `None` if it did not.
    pub left: Option<Duration>,
    /// The fingerprint of the key of the latest leader; empty if there was none.
    pub key: String,
    /// Whether this scheduler was the latest leader.
    pub was_ours: bool,
}

/// How the database answers a renewal.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// The lease is renewed; these other schedulers have looked at it, the latest first.
    Renewed(Vec<Peer>),
    /// The number is still the latest, but the database cannot write.
    ReadOnly,
    /// Another one has taken the lease.
    Deposed,
}

/// A scheduler that leads, or would.
pub struct Candidate {
    link: Link,
    settings: Settings,
    row: SchedulerRow,
    /// How long a lease lasts after a renewal, in seconds.
    life: f64,
    is_prepared: bool,
}

impl Candidate {
    /// Returns a candidate, which connects when it asks for the first time.
    ///
    /// # Errors
    ///
    /// When the system has no runtime to give.
    pub fn new(settings: &Settings, row: SchedulerRow, life: Duration) -> Result<Self, OpenError> {
        let mut link = Link::idle(settings, Purpose::Leading)?;
        link.set_attempt_limit(ANSWER_LIMIT);
        Ok(Self {
            link,
            settings: settings.clone(),
            row,
            life: life.as_secs_f64(),
            is_prepared: false,
        })
    }

    /// Makes the tables of the lease, or brings them up to date, unless that is done.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the database cannot be used.
    pub fn prepare(&mut self) -> Result<(), OpenError> {
        if !self.is_prepared {
            schema::prepare(&self.settings, &[])?;
            self.is_prepared = true;
        }
        Ok(())
    }

    /// Reads the lease, and leaves a note that this scheduler has looked.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database does not answer, or refuses.
    pub fn look(&mut self, reaches_leader: bool) -> Result<Look, Error> {
        let row = &self.row;
        let note = "INSERT INTO schedulers (id, name, address, pages, key, looked, reaches_leader)
             VALUES ($1, $2, $3, $4, $5, now(), $6)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, address = excluded.address, pages = excluded.pages,
                 key = excluded.key, looked = excluded.looked, reaches_leader = excluded.reaches_leader";
        let look = "SELECT number, renewals, holder, lease.key, expires <= now() AS has_expired,
                 CASE WHEN left_by = $1 THEN extract(epoch FROM now() - changed)::float8 END AS left_ago,
                 taken_by IS NOT DISTINCT FROM $1 AS was_ours,
                 id, name, address, pages, extract(epoch FROM now() - looked)::float8 AS age, reaches_leader
             FROM lease LEFT JOIN schedulers ON id = holder";
        let work = async |session: &Session| {
            let [name, address, pages] =
                [&row.name, &row.address, &row.pages].map(|of| text::encode(of));
            let values: [&(dyn ToSql + Sync); 6] = [
                &row.id.0,
                &name,
                &address,
                &pages,
                &row.key,
                &reaches_leader,
            ];
            session.execute(note, &values).await?;
            let found = session.first(look, &[&row.id.0]).await?;
            found.ok_or_else(|| Error::Damaged("the table lease is empty".to_owned()))
        };
        let found = self.link.attempt(work, Error::is_away)?;
        read_look(&found).map_err(|error| Error::Damaged(error.to_string()))
    }

    /// Takes the lease if its number and its renewals are still these. Returns nothing if they are not.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database does not answer, or refuses: then the lease may be taken nevertheless, and the next
    /// look shows it.
    pub fn take(
        &mut self,
        number: u64,
        renewals: u64,
    ) -> Result<Option<(Lease, Vec<Peer>)>, Error> {
        let (number, renewals) = (number.cast_signed(), renewals.cast_signed());
        let (id, life) = (self.row.id, self.life);
        let work = async |session: &Session| {
            let take = "SELECT take_lease($1, $2, $3, make_interval(secs => $4))";
            let taken = session
                .first(take, &[&number, &renewals, &id.0, &life])
                .await?;
            let taken: Option<Option<i64>> = taken
                .map(|row| row.try_get(0))
                .transpose()
                .map_err(damaged)?;
            match taken.flatten() {
                Some(number) => Ok(Some((Lease(number), peers(session, id).await?))),
                None => Ok(None),
            }
        };
        self.link.attempt(work, Error::is_away)
    }

    /// Renews the lease.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database does not answer.
    pub fn renew(&mut self, lease: Lease) -> Result<Renewal, Error> {
        let (id, life) = (self.row.id, self.life);
        let work = async |session: &Session| {
            let renew = "UPDATE lease SET renewals = renewals + 1, expires = now() + make_interval(secs => $3)
                 WHERE number = $1 AND holder = $2";
            match session.execute(renew, &[&lease.0, &id.0, &life]).await {
                Ok(0) => Ok(Renewal::Deposed),
                Ok(_) => Ok(Renewal::Renewed(peers(session, id).await?)),
                Err(error) if error.is_away() => Err(error),
                // Its disk is full, say.
                Err(_) => {
                    let latest = "SELECT number = $1 FROM leadership";
                    let latest = session.first(latest, &[&lease.0]).await?;
                    let is_latest = latest
                        .map(|row| row.try_get(0))
                        .transpose()
                        .map_err(damaged)?;
                    Ok(match is_latest {
                        Some(true) => Renewal::ReadOnly,
                        _ => Renewal::Deposed,
                    })
                }
            }
        };
        self.link.attempt(work, Error::is_away)
    }

    /// Gives the lease up. `leaves` tells whether it is for another scheduler to lead, so that this one waits a while.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database does not answer: then the lease expires.
    pub fn give_up(&mut self, lease: Lease, leaves: bool) -> Result<(), Error> {
        let id = self.row.id;
        let work = async |session: &Session| {
            let give_up = "UPDATE lease SET holder = NULL, expires = now(), changed = now(),
                     left_by = CASE WHEN $3 THEN $2 END
                 WHERE number = $1 AND holder = $2";
            session.execute(give_up, &[&lease.0, &id.0, &leaves]).await
        };
        self.link.attempt(work, Error::is_away).map(drop)
    }

    /// Removes the note of this scheduler, which ends: it is not expected any more.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database does not answer.
    pub fn leave(&mut self) -> Result<(), Error> {
        let id = self.row.id;
        let work = async |session: &Session| {
            session
                .execute("DELETE FROM schedulers WHERE id = $1", &[&id.0])
                .await
        };
        self.link.attempt(work, Error::is_away).map(drop)
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

/// Returns the other schedulers, those that looked last first.
async fn peers(session: &Session, but: SchedulerId) -> Result<Vec<Peer>, Error> {
    let others = "SELECT id, name, address, pages, extract(epoch FROM now() - looked)::float8 AS age, reaches_leader
         FROM schedulers WHERE id <> $1 ORDER BY looked DESC LIMIT $2";
    let rows = session.query(others, &[&but.0, &MAX_PEERS]).await?;
    let peers = rows.iter().map(read_peer).collect::<Result<_, _>>();
    peers.map_err(damaged)
}

fn damaged(error: tokio_postgres::Error) -> Error {
    Error::Damaged(error.to_string())
}

fn read_peer(row: &Row) -> Result<Peer, tokio_postgres::Error> {
    Ok(Peer {
        id: SchedulerId(row.try_get("id")?),
        name: text::decode(row.try_get("name")?),
        address: text::decode(row.try_get("address")?),
        pages: text::decode(row.try_get("pages")?),
        age: row.try_get("age")?,
        reaches_leader: row.try_get("reaches_leader")?,
    })
}

fn read_look(row: &Row) -> Result<Look, tokio_postgres::Error> {
    let number = |name| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
    let left: Option<f64> = row.try_get("left_ago")?;
    let noted: Option<i64> = row.try_get("id")?;
    Ok(Look {
        number: number("number")?,
        renewals: number("renewals")?,
        holder: row.try_get::<_, Option<i64>>("holder")?.map(SchedulerId),
        leader: noted.map(|_| read_peer(row)).transpose()?,
        has_expired: row.try_get("has_expired")?,
        left: left.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        key: row.try_get("key")?,
        was_ours: row.try_get("was_ours")?,
    })
}
