//! The book as its readers get it: it builds, its links work, and its generated pages match the code.

use std::path::Path;

use book::summary::Summary;
use book::{html, links, reference, root};

#[test]
fn every_link_of_the_book_works() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let site = html::build(&root(), &folder).unwrap();
    let broken = links::broken(&site).unwrap();
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = Summary::read(&root()).unwrap();
    let forgotten = summary.forgotten(&root()).unwrap();
    assert!(
        forgotten.is_empty(),
        "docs/SUMMARY.md does not name {forgotten:?}"
    );
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGES.md",
        "api/README.md",
    ] {
        assert!(
            summary.pages.iter().any(|named| named == Path::new(page)),
            "{page}"
        );
    }
}

#[test]
fn generated_pages_match_the_code() {
    let stale = reference::stale(&root()).unwrap();
    assert!(
        stale.is_empty(),
        "{stale:?} do not match the code: run `{}`",
        reference::COMMAND
    );
}

#[test]
fn blocks_of_code_name_their_language_and_so_are_coloured() {
    let summary = Summary::read(&root()).unwrap();
    let mut without = Vec::new();
    // The blocks of the architecture are diagrams.
    let pages = summary.pages.iter();
    for page in pages.filter(|page| *page != Path::new("ARCHITECTURE.md")) {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let mut is_inside = false;
        for (number, line) in text.lines().enumerate() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                if !is_inside && language.is_empty() {
                    without.push(format!("{}:{}", page.display(), number + 1));
                }
                is_inside = !is_inside;
            }
        }
    }
    assert!(
        without.is_empty(),
        "name the language behind ```, such as `sh` or `text`: {without:?}"
    );
}
