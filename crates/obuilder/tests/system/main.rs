//! Builds with all the real parts: stores on disks of their own, containers, images from a registry.
//!
//! What a part does by itself is shown in the other rooms; here is what only shows when they work together.

mod full_disks;
mod log;
mod passing;
mod recorded;
mod registries;
mod seclusion;
mod shared;
mod site;
mod stress;

#[path = "../builder/recordings.rs"]
mod recordings;

/// Makes a test of each chapter, for each store.
macro_rules! for_each_store {
    ($($chapter:ident)*) => {
        $crate::for_each_store!(@ overlayfs Overlayfs, $($chapter)*);
        $crate::for_each_store!(@ btrfs Btrfs, $($chapter)*);
        $crate::for_each_store!(@ xfs Xfs, $($chapter)*);
        $crate::for_each_store!(@ rsync_copy RsyncCopy, $($chapter)*);
        $crate::for_each_store!(@ rsync_hardlink RsyncHardlink, $($chapter)*);
    };
    (@ $store:ident $kind:ident, $($chapter:ident)*) => {
        mod $store {
            $(#[test]
            fn $chapter() {
                let name = concat!(stringify!($chapter), " (", stringify!($store), ")");
                crate::site::on(crate::site::Kind::$kind, name, super::$chapter);
            })*
        }
    };
}
pub(crate) use for_each_store;
