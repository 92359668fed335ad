//! A log that is read while it is written: it is followed, also over a restart of the scheduler, linked and searched.

use std::fs;

use anyhow::Result;
use browser::{Device, Page, Profile};
use testbed::WAIT_LIMIT;

use crate::cluster::{Pages, check_page};

/// Checks that another visitor sees a range of four lines, with scripts and without.
fn check_range(pages: &Pages, operator: &Profile, url: &str, hash: &str) -> Result<()> {
    let other = operator.page(&Device::PHONE)?;
    other.open(&format!("{url}{hash}"))?;
    other.wait_for("document.querySelectorAll('#lines .in').length === 4")?;
    check_page(&other, &pages.origin(), "a range of lines")?;
    // The server marks it, and brings it into view.
    let plain = operator.page(&Device::PHONE.without_scripts())?;
    let range = hash.trim_start_matches("#L");
    plain.open(&format!("{url}?lines={range}"))?;
    let marked = "[...document.querySelectorAll('#lines .in')]";
    assert_eq!(plain.evaluate(&format!("{marked}.length"))?, 4);
    let top = format!("{marked}[0].getBoundingClientRect().top");
    plain.wait_for(&format!("{top} >= 0 && {top} < innerHeight"))?;
    check_page(&plain, &pages.origin(), "a range of lines without scripts")
}

/// Waits until the second part has the time at which it was written.
fn wait_for_time(page: &Page) -> Result<()> {
    let written = "[...document.querySelectorAll('#lines li')]
        .find(line => line.textContent.includes('second part'))?.querySelector(':scope > i')?.textContent";
    page.wait_for(&format!("/^[0-9]/.test({written} ?? '')"))
}

#[test]
fn a_log_is_followed_over_a_restart_linked_and_searched() -> Result<()> {
    let Some(mut pages) = Pages::start("a_log_is_followed_over_a_restart_linked_and_searched")?
    else {
        return Ok(());
    };
    let folder = pages.site.folder().to_owned();
    let wait_for = |name: &str| {
        let file = folder.join(name);
        format!("until [ -e '{}' ]; do sleep 0.05; done", file.display())
    };
    let script = format!(
        "for i in $(seq 200); do echo line $i; done; {}; echo second part; {}; echo third part",
        wait_for("second"),
        wait_for("third")
    );
    let id = pages.submit(&script, &[])?;
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;
    let url = pages.url(&format!("/job/{id}"));
    page.open(&url)?;
    page.wait_for_text("line 200")?;

    // Chapter: what is written appears, without the page being loaded again.
    page.evaluate("window.isTheSamePage = true")?;
    fs::write(folder.join("second"), "")?;
    page.wait_for_text("second part")?;
    // So does the time at which it was written, a moment later.
    wait_for_time(&page)?;

    // Chapter: the scheduler is restarted, and the page goes on.
    pages.site.cluster.stop_scheduler()?;
    pages.site.cluster.start_scheduler()?;
    fs::write(folder.join("third"), "")?;
    page.wait_for_text("third part")?;
    assert_eq!(page.evaluate("window.isTheSamePage")?, true);
    let body = page.body()?;
    for line in ["second part", "third part", "line 200"] {
        assert_eq!(body.matches(line).count(), 1, "{line} in:\n{body}");
    }

    // Chapter: a line has a link; with the shift key, it becomes a range, which another visitor sees.
    page.forget_record()?;
    let line = "[...document.querySelectorAll('#lines li')].findIndex(li => li.textContent.endsWith('line 7'))";
    let index = page.evaluate(line)?.as_u64().unwrap_or_default();
    let link = |index: u64| {
        let script = format!("document.querySelectorAll('#lines li')[{index}].id");
        page.text(&script)
    };
    let (first, last) = (link(index)?, link(index + 3)?);
    page.click(&format!("#{first} > a"))?;
    page.shift_click(&format!("#{last} > a"))?;
    let hash = page.text("location.hash")?;
    assert_eq!(hash, format!("#{first}-{}", last.trim_start_matches('L')));
    check_range(&pages, &operator, &url, &hash)?;

    // Chapter: a search finds what is in the log, with scripts and without.
    page.press("/")?;
    page.type_text("second part")?;
    page.wait_for("document.querySelectorAll('#lines mark').length === 1")?;
    let plain = operator.page(&Device::WIDE.without_scripts())?;
    plain.open(&format!("{url}?q=line+19"))?;
    let body = plain.body()?;
    assert!(
        body.contains("line 190") && !body.contains("line 20\n"),
        "{body}"
    );
    pages.finish()
}

#[test]
fn a_log_of_a_gigabyte_opens_at_its_end() -> Result<()> {
    let Some(pages) = Pages::start("a_log_of_a_gigabyte_opens_at_its_end")? else {
        return Ok(());
    };
    let script =
        "yes 'one of many lines of a long log' | head -c 1000000000; echo; echo the last line";
    let id = pages.submit(script, &[])?;
    let line = format!("ocluster-client wait ./capnp-secrets/submission.cap {id}");
    pages
        .site
        .begin(&line)?
        .end_within(10 * WAIT_LIMIT)?
        .check(0, &[]);
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;
    let before = pages.scheduler_memory()?;
    page.open(&pages.url(&format!("/job/{id}")))?;
    assert!(page.body()?.contains("the last line"));
    // The log was neither read from its beginning nor kept in memory.
    let html = page.evaluate("document.documentElement.outerHTML.length")?;
    let grown = pages.scheduler_memory()?.saturating_sub(before);
    let times = "performance.getEntriesByType('navigation')[0]";
    let first = page.evaluate(&format!("{times}.responseStart - {times}.requestStart"))?;
    let last = page.evaluate(&format!("{times}.responseEnd - {times}.requestStart"))?;
    println!("answer after {first} to {last} ms, {html} bytes of HTML, {grown} bytes of memory");
    assert!(
        html.as_u64().is_some_and(|bytes| bytes < 8_000_000),
        "{html}"
    );
    assert!(
        grown < 100_000_000,
        "the scheduler has grown by {grown} bytes"
    );
    pages.finish()
}
