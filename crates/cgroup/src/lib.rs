//! The control group of one job: by it everything that the job has started is found, limited and killed.
//!
//! A process can leave its process group and its session, and close its pipes. It cannot leave its control group. So each
//! job gets one [`Group`], made below the [`Parent`], which is the group of this process: then the limits of its service
//! hold for its jobs, too, and a service manager that ends the service ends them.
//!
//! Control groups exist in two versions. The second has one hierarchy of groups for everything; the first has one for each
//! controller (memory, pids, …); and a machine may have both ("hybrid"). A [`Group`] is a directory in each hierarchy
//! that is mounted, so that nothing of a job stays in a group with others, whatever the machine.
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
