//! Which of several schedulers on one database leads.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::details::millis;
use crate::handle::Served;
use crate::raw::extensions_capnp::{leader_status, leadership, standby};
use crate::text::{malformed, text};
use crate::{Admin, RpcError, ServeAdmin};

/// How many standbys are told of at most.
const MAX_STANDBYS: u32 = 16;

/// A scheduler that waits for another one's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Its process and host.
    pub name: String,
    /// Where peers connect when it leads.
    pub address: String,
    /// The address of its pages; empty if it has none.
    pub pages: String,
    /// How long ago it looked at the lease.
    pub looked: Duration,
    /// Whether it could connect to the leader.
    pub reaches_leader: bool,
}

/// The scheduler that leads, and those that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderStatus {
    /// Its process and host.
    pub name: String,
    /// Where peers connect.
    pub address: String,
    /// The number of its lease; 0 if its state is in files, so that no other scheduler can lead.
    pub lease: u64,
    /// How long ago the database answered last.
    pub confirmed: Duration,
    /// The standbys, those that looked last first.
    pub standbys: Vec<Standby>,
}

impl Standby {
    fn read(reader: standby::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            name: text(reader.get_name(), "standby.name")?,
            address: text(reader.get_address(), "standby.address")?,
            pages: text(reader.get_pages(), "standby.pages")?,
            looked: Duration::from_millis(reader.get_looked()),
            reaches_leader: reader.get_reaches_leader(),
        })
    }

    fn write(&self, mut builder: standby::Builder<'_>) {
        let Self {
            name,
            address,
            pages,
            looked,
            reaches_leader,
        } = self;
        builder.set_name(name);
        builder.set_address(address);
        builder.set_pages(pages);
        builder.set_looked(millis(*looked));
        builder.set_reaches_leader(*reaches_leader);
    }
}

impl LeaderStatus {
    fn read(reader: capnp::Result<leader_status::Reader<'_>>) -> Result<Self, RpcError> {
        let reader = reader.map_err(|error| malformed(&error, "status"))?;
        let standbys = reader.get_standbys();
        let standbys = standbys.map_err(|error| malformed(&error, "status.standbys"))?;
        Ok(Self {
            name: text(reader.get_name(), "status.name")?,
            address: text(reader.get_address(), "status.address")?,
            lease: reader.get_lease(),
            confirmed: Duration::from_millis(reader.get_confirmed()),
            standbys: standbys
                .iter()
                .take(MAX_STANDBYS as usize)
                .map(Standby::read)
                .collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, mut builder: leader_status::Builder<'_>) {
        let Self {
            name,
            address,
            lease,
            confirmed,
            standbys,
        } = self;
        builder.set_name(name);
        builder.set_address(address);
        builder.set_lease(*lease);
        builder.set_confirmed(millis(*confirmed));
        let count = u32::try_from(standbys.len()).unwrap_or(u32::MAX);
        let mut list = builder.init_standbys(count.min(MAX_STANDBYS));
        for (index, standby) in (0..MAX_STANDBYS).zip(standbys) {
            standby.write(list.reborrow().get(index));
        }
    }
}

/// Several schedulers. Upstream's scheduler answers `Unimplemented`.
impl Admin {
    /// Returns what is known of the scheduler that leads, which is the one that answers, and of the others.
    pub fn leader_status(&self) -> Answer<LeaderStatus> {
        let client: leadership::Client = self.clone().into_raw().cast_to();
        let request = client.status_request();
        Answer::new(
            request.send().promise,
            |results: leadership::status_results::Reader<'_>| {
                LeaderStatus::read(results.get_status())
            },
        )
    }

    /// Has a standby lead. Then the connection is closed.
    pub fn step_down(&self) -> Answer<()> {
        let client: leadership::Client = self.clone().into_raw().cast_to();
        let request = client.step_down_request();
        Answer::new(
            request.send().promise,
            |_: leadership::step_down_results::Reader<'_>| Ok(()),
        )
    }
}

/// The answer of an object that knows no other schedulers.
pub(crate) fn leads_alone() -> RpcError {
    RpcError::unimplemented("this object knows no other schedulers")
}

impl<S: ServeAdmin> leadership::Server for Served<S> {
    fn status(
        self: Rc<Self>,
        _params: leadership::StatusParams,
        mut results: leadership::StatusResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let status = admin.leader_status()?;
            status.write(results.get().init_status());
            Ok(())
        }
    }

    fn step_down(
        self: Rc<Self>,
        _params: leadership::StepDownParams,
        _results: leadership::StepDownResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            admin.step_down().await?;
            Ok(())
        }
    }
}
