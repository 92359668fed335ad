//! Every store, on real disks: the same stories for each.
//!
//! A chapter is a function of a [`Ground`]; `stories!` makes a test of each chapter with each store, so that a failure
//! says which.

mod caches;
mod crashes;
mod ground;
mod guests;
mod layers;
mod listing;
mod opening;
mod results;
mod space;
mod usage;

/// Makes a module of tests for each store, with one for each chapter.
macro_rules! stories {
    ($($module:ident::$chapter:ident),* $(,)?) => {
        stories!(@ overlayfs, $crate::ground::Kind::Overlayfs, $($module::$chapter),*);
        stories!(@ btrfs, $crate::ground::Kind::Btrfs, $($module::$chapter),*);
        stories!(@ xfs, $crate::ground::Kind::Xfs, $($module::$chapter),*);
        stories!(@ rsync_copy, $crate::ground::Kind::RsyncCopy, $($module::$chapter),*);
        stories!(@ rsync_hardlink, $crate::ground::Kind::RsyncHardlink, $($module::$chapter),*);
        stories!(@ rsync_hardlink_unsafe, $crate::ground::Kind::RsyncHardlinkUnsafe, $($module::$chapter),*);
    };
    (@ $store:ident, $kind:expr, $($module:ident::$chapter:ident),*) => {
        mod $store {
            $(stories!(@@ $kind, $module::$chapter);)*
        }
    };
    (@@ $kind:expr, $module:ident::$chapter:ident) => {
        #[test]
        fn $chapter() {
            $crate::ground::on($kind, stringify!($chapter), $crate::$module::$chapter);
        }
    };
}

stories!(
    results::files_of_a_step_are_kept,
    results::a_copy_has_everything_about_a_file,
    results::a_view_is_the_whole_filesystem,
    results::deleted_files_stay_deleted,
    results::results_can_be_listed_with_their_bases,
    results::a_store_may_be_moved,
    results::a_store_may_have_any_name,
    results::deep_trees_and_long_names,
    results::what_is_published_is_written_to_by_nobody,
    results::two_steps_on_one_base,
    usage::a_result_takes_what_it_added,
    caches::a_cache_is_shared_one_copy_at_a_time,
    caches::a_cache_may_be_deleted_while_in_use,
    caches::no_name_leaves_the_cache_directory,
    caches::what_a_copy_deletes_is_deleted,
    caches::a_cache_keeps_everything_about_a_file,
    crashes::one_process_owns_a_store,
    crashes::what_a_killed_process_left_is_removed,
    crashes::leftovers_of_every_kind_are_removed,
    crashes::a_loss_of_power_takes_what_may_be_damaged,
    crashes::a_full_disk_loses_nothing,
    guests::a_store_can_be_read_while_another_process_owns_it,
    guests::files_of_a_killed_guest_are_removed,
    layers::a_long_chain_of_steps,
    layers::random_steps,
);
