//! Lists that a scheduler returns in pages.

use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_error;

/// The most entries that are asked for at once.
pub(crate) const PAGE: u32 = 500;

/// Entries of a list, and whether there are more than were asked for.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) are_more: bool,
}

/// Asks for pages until there are `limit` entries, or no more. `fetch` gets where its page begins and the most entries
/// that it may have, and returns them with where the next page begins.
pub(crate) async fn list<T>(
    limit: u32,
    fetch: impl AsyncFn(Option<u64>, u32) -> Result<(Vec<T>, Option<u64>), CommandError>,
) -> Result<Listed<T>, CommandError> {
    let limit = limit as usize;
    let mut entries = Vec::new();
    let mut before = None;
    loop {
        let missing = u32::try_from(limit - entries.len()).unwrap_or(PAGE);
        let (page, next) = fetch(before, missing.min(PAGE)).await?;
        entries.extend(page);
        entries.truncate(limit);
        before = next_page(before, next);
        if before.is_none() || entries.len() == limit {
            let are_more = before.is_some();
            return Ok(Listed { entries, are_more });
        }
    }
}

/// Returns where the page begins after the one that began at `before`, if there is one.
pub(crate) fn next_page(before: Option<u64>, next: Option<u64>) -> Option<u64> {
    // It gets smaller with each page. A scheduler for which it does not would be asked for ever.
    next.filter(|next| before.is_none_or(|before| *next < before))
}

/// Prints what a list of so many entries does not show, on standard error: standard output has the entries only. To be
/// called when these are printed. `what` is the plural of an entry. In JSON, the list tells whether there are more.
pub(crate) fn print_rest(format: Format, shown: usize, are_more: bool, what: &str) {
    match shown {
        0 => print_error(&format!("No {what}.\n")),
        _ if are_more && format == Format::Text => print_error(&format!(
            "There are more than {shown} {what}; show more with --limit.\n"
        )),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Returns what is listed of so many entries, and how many pages that took.
    fn listed(number: u64, limit: u32) -> (Listed<u64>, usize) {
        let pages = std::cell::Cell::new(0);
        let fetch = async |before: Option<u64>, at_most: u32| {
            pages.set(pages.get() + 1);
            let end = before.unwrap_or(number);
            let begin = end.saturating_sub(at_most.into());
            Ok(((begin..end).rev().collect(), (begin > 0).then_some(begin)))
        };
        let listed = list(limit, fetch).now_or_never().unwrap().unwrap();
        (listed, pages.get())
    }

    #[test]
    fn pages_are_asked_for_until_there_are_enough_entries() {
        for (number, limit, shown, are_more, pages) in [
            (0, 50, 0, false, 1),
            (50, 50, 50, false, 1),
            (51, 50, 50, true, 1),
            (1200, 5000, 1200, false, 3),
            (1200, 1100, 1100, true, 3),
        ] {
            let (listed, asked) = listed(number, limit);
            let expected: Vec<u64> = (0..number).rev().take(shown).collect();
            assert_eq!(listed.entries, expected);
            assert_eq!((listed.are_more, asked), (are_more, pages), "{number}");
        }
    }

    #[test]
    fn a_scheduler_that_returns_the_same_page_again_is_not_asked_for_ever() {
        let fetch = async |_, _| Ok((vec![1], Some(7)));
        let listed = list(100, fetch).now_or_never().unwrap().unwrap();
        assert_eq!((listed.entries.len(), listed.are_more), (2, false));
    }
}
