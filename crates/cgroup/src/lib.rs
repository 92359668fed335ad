//! The control group of one job, by which all processes of the job are found, limited and killed.
//!
//! A process can leave its process group and its session, and close its pipes. It cannot leave its control group. So
//! each job gets a [`Group`] below the [`Parent`], which is the group of this process. The limits of this program's
//! service then apply to its jobs, too, and a service manager that stops the service stops them.
//!
//! Control groups have two versions. The second has one hierarchy of groups for all controllers. The first has one for
//! each controller (memory, pids, …). A machine may have both ("hybrid"). A [`Group`] is a directory in each mounted
//! hierarchy, so a job shares no group with other processes on any machine.
//!
//! ```no_run
//! use cgroup::{Limits, Parent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = Limits {
//!     memory: Some("2GiB".parse()?),
//!     ..Limits::default()
//! };
//! let parent = Parent::find()?;
//! let limits = parent.prepare(&limits)?;
//! let group = parent.create("job-1", &limits)?;
//! // … a process writes "0" to each of `group.entrances()`, and becomes the job …
//! if group.hits().memory {
//!     println!("the job exceeded its memory limit");
//! }
//! assert!(group.end(std::time::Duration::from_secs(10)));
//! group.remove()?;
//! # Ok(())
//! # }
//! ```
//!
//! This crate reads and writes files below `/sys/fs/cgroup`, and signals processes. It starts none.

mod group;
mod hierarchy;
mod hits;
mod kill;
mod limits;
mod memory_kills;
mod parent;

pub use group::{Group, GroupError};
pub use hierarchy::DetectError;
pub use hits::Hits;
pub use kill::wait_for_end;
pub use limits::{CpuLimit, Limits, MemoryLimit, ParseLimitError, PidLimit};
pub use memory_kills::{MemoryKill, MemoryWatch, is_killed_status};
pub use parent::{Parent, UnenforceableError};
