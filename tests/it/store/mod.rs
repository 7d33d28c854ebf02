//! The store's contract, run against every backend: one line each below. Knows the trait only;
//! what a backend does beyond it is in the file of its name.

mod contract;
mod model;
mod redb;
pub(crate) mod support;

use support::Fixture;
use wkube::store::{MemoryStore, RedbStore, StoreOptions};

/// Every test of `contract` and `model`, for the backend that `$open` opens.
macro_rules! contract {
    ($name:ident, $open:expr) => {
        contract!(@each $name, $open;
            contract: a_new_store_is_at_revision_zero, each_write_gets_the_next_revision,
            preconditions_hold_or_tell_the_revision, a_failed_write_changes_nothing,
            the_previous_value_is_given_back, deleting_what_is_not_there_fails,
            a_key_made_anew_has_a_new_create_revision, ranges_are_in_order_and_paged,
            a_range_stays_within_its_prefix, a_watch_sees_each_change_once_in_order,
            a_watch_begins_after_its_revision, a_watch_sees_only_its_prefix,
            a_watch_has_no_gap_and_no_duplicate_under_load, a_dropped_watch_hears_nothing,
            a_sink_may_drop_its_watch, a_sink_that_panics_harms_nobody,
            history_is_bounded_by_count, history_is_bounded_by_bytes,
            compaction_forgets_the_past, revisions_ahead_are_refused,
            attachments_reach_watchers_and_readers, relaxed_writes_are_seen_at_once,
            one_of_many_writers_wins, a_write_is_visible_when_it_is_answered,
            a_closed_store_says_so;
            model: behaves_as_the_model
        );
    };
    (@each $name:ident, $open:expr; $($module:ident: $($test:ident),+);+) => {
        mod $name {
            #[allow(unused_imports, reason = "each backend needs others")]
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$module::$test(&$open).await;
                }
            )+)+
        }
    };
}

contract!(memory, |options: StoreOptions| Fixture::new(
    MemoryStore::new(options),
    None
));
contract!(on_redb, |options: StoreOptions| {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path(), &options).unwrap();
    Fixture::new(store, Some(folder))
});
