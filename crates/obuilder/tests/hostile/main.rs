//! What a hostile step does, in a container made by each runtime in turn. Each chapter is an attack, and looks at whom it
//! would have harmed.

#[expect(
    dead_code,
    reason = "the room has more than these chapters need: other suites use the rest"
)]
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
