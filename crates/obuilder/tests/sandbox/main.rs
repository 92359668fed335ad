//! Commands in real containers, made by each runtime in turn, which must not be told apart.

mod endings;
mod escapes;
mod gifts;
mod leftovers;
mod room;
mod runtimes;
mod surroundings;

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
