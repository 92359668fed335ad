//! Attacks by a hostile step, in containers of each runtime. Each chapter is an attack, and checks its possible
//! victims.

#[expect(dead_code, reason = "other suites use the rest of the room")]
#[path = "../sandbox/room.rs"]
mod room;

mod calls;
mod groups;
mod limits;
mod mounts;
mod networks;
mod probes;
#[cfg(feature = "real-builds")]
mod real_builds;

use room::for_each_runtime;
