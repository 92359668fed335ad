//! Checks that every link of a site has a target in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::summary::plain;

/// Pages that mdBook makes from the others, with other links.
const MADE_OF_OTHERS: &[&str] = &["print.html", "404.html"];

/// Returns the links of the site in `folder` whose page, or whose place on that page, does not exist. Links to other
/// sites are not followed.
///
/// # Errors
/// When the site cannot be read.
pub fn broken(folder: &Path) -> Result<Vec<String>> {
    let pages = read(folder)?;
    let places: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| (path.as_path(), attributes(text, "id").collect()))
        .collect();
    let mut found = Vec::new();
    for (page, text) in &pages {
        for link in attributes(text, "href").chain(attributes(text, "src")) {
            if link.contains(':') || link.starts_with("//") {
                continue;
            }
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let beside = page.parent().unwrap_or(Path::new(""));
            let target = if path.is_empty() {
                page.clone()
            } else {
                plain(&beside.join(path))
            };
            let leads_there = match places.get(target.as_path()) {
                Some(ids) => place.is_empty() || ids.contains(place),
                None => folder.join(&target).is_file(),
            };
            if !leads_there {
                found.push(format!("{}: {link}", page.display()));
            }
        }
    }
    Ok(found)
}

/// Returns the site's pages and their text, by their paths in it.
fn read(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(inside)? {
            let path = entry?.path();
            let name = path.strip_prefix(folder)?.to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "html")
                && !MADE_OF_OTHERS.iter().any(|made| name == Path::new(made))
            {
                pages.insert(name, fs::read_to_string(path)?);
            }
        }
    }
    Ok(pages)
}

/// Returns the values of an attribute. In text, quotation marks are escaped, so that what is found is in a tag.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (value, behind) = after.split_once('"')?;
        rest = behind;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_page_and_a_place_on_it() {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir(site.path().join("d")).unwrap();
        let write = |name: &str, text: &str| fs::write(site.path().join(name), text).unwrap();
        write("style.css", "");
        write(
            "a.html",
            r##"<h1 id="top"><a href="d/b.html#end"></a><a href="#top"></a>"##,
        );
        write(
            "d/b.html",
            r##"<link href="../style.css"> <p id="end"> <a href="https://elsewhere/"> href=&quot;no&quot;
                <a href="../a.html#bottom"></a> <a href="c.html"></a> <img src="none.png"> <a href="#start">"##,
        );
        assert_eq!(
            broken(site.path()).unwrap(),
            ["../a.html#bottom", "c.html", "#start", "none.png"]
                .map(|link| format!("d/b.html: {link}"))
        );
    }
}
