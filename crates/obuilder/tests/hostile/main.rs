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

/// Makes a test of each chapter, for each runtime.
macro_rules! for_each_runtime {
    ($($chapter:ident)*) => {
        mod runc {
            $(#[test]
            fn $chapter() {
                crate::room::with_runc(concat!(stringify!($chapter), " (runc)"), super::$chapter);
            })*
        }
        mod builtin {
            $(#[test]
            fn $chapter() {
                crate::room::with_builtin(concat!(stringify!($chapter), " (builtin)"), super::$chapter);
            })*
        }
    };
}
pub(crate) use for_each_runtime;
