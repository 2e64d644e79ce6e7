//! What the build of one index may take of the target: helpers, and memory to sort in.
//!
//! Called by `index`. Settings last for the build's own transaction.

use crate::catalog::{Index, Table};
use crate::context::Context;

/// The first major whose builds have helpers: parallel workers, two unless the server says otherwise.
const HELPERS_SINCE: i32 = 11;
/// No build of a smaller table has any (`min_parallel_table_scan_size`), and none needs more memory than every server gives.
const SMALL_BYTES: u64 = 8 << 20;
/// Who sorts with less has no helpers (PostgreSQL, `plan_create_index_workers`).
const HELPED_SORT_BYTES: u64 = 32 << 20;
/// At most so many sort at once in that case, one of them the leader: three helpers, one more than servers give by default.
const SORTERS: u64 = 4;
/// Memory that a merge takes for each run that it reads (`tuplesort_merge_order`: 32 blocks, and two more).
const MERGED_RUN_BYTES: u64 = 34 * 8192;
/// No merge reads more runs at once (`tuplesort.c`, `MAXORDER`).
const MERGED_RUNS_MAX: u64 = 500;

/// Takes the helpers away.
const NO_HELPERS: &str = "set_config('max_parallel_maintenance_workers', '0', true)";

/// Statements that make a session ready to build, one of `index_jobs`: all builders together may sort in half as much memory
/// as the server's shared buffers, where its own setting is not more. On Amazon RDS that is an eighth of the machine.
pub fn prepare_builder(index_jobs: usize) -> String {
    format!(
        "SELECT set_config('maintenance_work_mem', greatest(
                    pg_size_bytes(current_setting('maintenance_work_mem')),
                    least(1 << 30, pg_size_bytes(current_setting('shared_buffers')) / (2 * {index_jobs})))
                / 1024 || 'kB', false)"
    )
}

/// The statement in front of the one that builds `index`, one of `at_once`, in the same message and so in the same transaction; may be empty.
pub(super) fn claim(context: &Context, at_once: usize, table: &Table, index: &Index) -> String {
    if table.bytes < SMALL_BYTES {
        return String::new();
    }
    let helped = has_helpers(context, at_once, table);
    let mut settings = Vec::new();
    if !helped && context.target_version.major() >= HELPERS_SINCE {
        settings.push(NO_HELPERS.to_owned());
    }
    if index.btree {
        let bytes = sort_bytes(table.bytes, helped);
        settings.push(format!(
            "set_config('maintenance_work_mem',
                        least(pg_size_bytes(current_setting('maintenance_work_mem')), {bytes}) / 1024 || 'kB', true)"
        ));
    }
    if settings.is_empty() { String::new() } else { format!("SELECT {}; ", settings.join(", ")) }
}

/// The same for a build that may not write as much as it would like: all the memory that the session has, and no helpers, who hand
/// over what they have sorted in files.
pub(super) fn claim_memory_only(context: &Context) -> String {
    if context.target_version.major() < HELPERS_SINCE { String::new() } else { format!("SELECT {NO_HELPERS}; ") }
}

/// How much memory sorting the keys of a table of `table_bytes` takes: no more than leaves one merge of sorted runs.
///
/// Runs that fit into the processor's cache are sorted much faster than one that fills memory, and the merge reads them in
/// order (decision 0007). What is sorted may be twice the table, since each key has a slot and a header beside it. With `n`
/// bytes of memory there are `sorted / n` runs, and a merge reads `n / MERGED_RUN_BYTES` at once.
fn sort_bytes(table_bytes: u64, helped: bool) -> u64 {
    let sorted = 2 * table_bytes;
    let one_merge = sorted.saturating_mul(MERGED_RUN_BYTES).isqrt().max(sorted.div_ceil(MERGED_RUNS_MAX));
    if helped { SORTERS * one_merge.max(HELPED_SORT_BYTES) } else { one_merge.max(SMALL_BYTES) }
}

fn has_helpers(context: &Context, indexes_at_once: usize, table: &Table) -> bool {
    let at_once = indexes_at_once + usize::from(context.reads_back);
    let to_read_back = if context.reads_back { table.bytes } else { 0 };
    let elsewhere = context.bytes_left().saturating_sub(to_read_back);
    context.target_version.major() >= HELPERS_SINCE
        && !is_crowded(at_once, context.builders.width(), elsewhere, table.bytes)
}

/// Whether the target is busy without helpers: with what is done `at_once` to a table of `bytes` on a server that carries `width`,
/// or with `elsewhere`, bytes of other tables still to be copied or read back.
///
/// Helpers shorten a build that others wait for, and take a quarter more of the processors in all (measured: six indexes over
/// 860 MB, 4.3 s instead of 3.4 s). There, the indexes took a fifth of what copying and reading back took.
fn is_crowded(at_once: usize, width: usize, elsewhere: u64, bytes: u64) -> bool {
    at_once + 1 >= width || elsewhere >= bytes / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_come_when_others_would_wait_for_the_build() {
        assert!(!is_crowded(2, 4, 0, 500), "the last table");
        assert!(!is_crowded(2, 4, 200, 500), "one that dwarfs the rest");
        assert!(is_crowded(2, 4, 300, 500), "others keep the processors busy");
        assert!(is_crowded(3, 4, 0, 500), "its own indexes do");
        assert!(!is_crowded(3, 8, 0, 500), "on a larger machine they do not");
    }

    #[test]
    fn one_merge_is_enough_whatever_the_size() {
        for bytes in (23..45).map(|power| 1_u64 << power) {
            let memory = sort_bytes(bytes, false);
            let runs = (2 * bytes).div_ceil(memory);
            assert!(runs <= (memory / MERGED_RUN_BYTES + 1).min(MERGED_RUNS_MAX), "{bytes}: {runs} runs, {memory}");
        }
    }

    #[test]
    fn memory_to_sort_in_grows_more_slowly_than_tables() {
        assert_eq!(sort_bytes(10 << 20, false), 8 << 20);
        assert_eq!(sort_bytes(1 << 30, false) >> 20, 23);
        assert_eq!(sort_bytes(100 << 30, false) >> 20, 409);
    }

    #[test]
    fn whoever_is_helped_has_memory_for_each() {
        assert_eq!(sort_bytes(10 << 20, true), 128 << 20);
        assert_eq!(sort_bytes(1 << 30, true), 128 << 20);
    }
}
