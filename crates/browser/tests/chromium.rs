//! The browser itself, with pages of this test: the faults of a page are found, and a good page has no complaints.

use anyhow::{Context as _, Result};
use browser::{Axe, Browser, Device, Page, PageServer};

/// A page without a fault. Its script counts what is done to it.
const GOOD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pools</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) { h1::after { content: " at night"; } }
</style></head>
<body><main>
<h1>Pools</h1>
<noscript><p>No scripts run.</p></noscript>
<p><label for="filter">Filter</label> <input id="filter"></p>
<p><button type="button">Count</button> <output>0</output></p>
<p id="keys"></p>
</main>
<script>
let clicks = 0;
document.querySelector('button').addEventListener('click', event => {
    clicks += event.shiftKey ? 10 : 1;
    document.querySelector('output').textContent = clicks;
});
document.addEventListener('keydown', event => {
    document.querySelector('#keys').textContent += event.key + ' ';
});
</script></body></html>"#;

/// Returns a browser with a visitor's page.
fn start(name: &str, device: &Device) -> Result<Option<(Browser, Page)>> {
    let Some(browser) = Browser::or_not_run(name)? else {
        return Ok(None);
    };
    let page = browser.profile()?.page(device)?;
    Ok(Some((browser, page)))
}

#[test]
fn a_good_page_has_nothing_to_complain_of() -> Result<()> {
    let name = "a_good_page_has_nothing_to_complain_of";
    let Some((_browser, page)) = start(name, &Device::WIDE)? else {
        return Ok(());
    };
    let server = PageServer::start(&[("/", GOOD)])?;
    page.open(&server.url("/"))?;
    assert_eq!(page.text("document.title")?, "Pools");
    assert_eq!(page.overhang()?, 0);
    let record = page.record()?;
    assert_eq!(record.complaints, [""; 0]);
    assert_eq!(record.requests, [server.url("/")]);
    assert_eq!(record.foreign_requests(&server.origin()), [""; 0]);
    if let Some(axe) = Axe::or_not_run(name)? {
        assert_eq!(axe.violations(&page)?, [""; 0]);
    }
    let picture = page.whole_picture()?;
    assert_eq!(&picture[1..4], b"PNG");
    assert_eq!(&page.small_picture()?[8..12], b"WEBP");

    // Chapter: an address that nobody serves is an error; a page that is not found is a page, and a complaint.
    let error = page.open("http://nowhere.example/").unwrap_err();
    assert!(
        format!("{error:#}").contains("cannot open http://nowhere.example/"),
        "{error:#}"
    );
    page.open(&server.url("/missing"))?;
    assert_eq!(page.body()?, "not found");
    let complaints = page.record()?.complaints.join("\n");
    assert!(complaints.contains("404"), "{complaints}");
    Ok(())
}

#[test]
fn faults_of_a_page_are_found() -> Result<()> {
    let name = "faults_of_a_page_are_found";
    let Some((_browser, page)) = start(name, &Device::PHONE)? else {
        return Ok(());
    };
    let elsewhere = PageServer::start(&[("/pixel", "")])?;
    let foreign = elsewhere.url_at("elsewhere.test", "/pixel");
    let bad = format!(
        r#"<meta name="viewport" content="width=device-width">
        <link rel="icon" href="data:,">
        <p style="color: #ccc; background: #fff; width: 1000px">faint and too wide</p>
        <img src="{foreign}">
        <script>
        console.log('a note'); console.error('an error', 7);
        alert('a dialog');
        throw new Error('an exception');
        </script>"#
    );
    let server = PageServer::start(&[("/", &bad)])?;
    page.open(&server.url("/"))?;
    let record = page.record()?;
    let complaints = record.complaints.join("\n");
    for complaint in [
        "error: an error 7",
        "alert: a dialog",
        "exception: Error: an exception",
    ] {
        assert!(
            complaints.contains(complaint),
            "no {complaint:?} in:\n{complaints}"
        );
    }
    assert_eq!(record.messages, ["log: a note"]);
    assert_eq!(record.foreign_requests(&server.origin()), [&foreign]);
    let overhang = page.overhang()?;
    assert!(overhang > 600, "{overhang}");
    if let Some(axe) = Axe::or_not_run(name)? {
        let violations = axe.violations(&page)?.join("\n");
        for rule in [
            "color-contrast",
            "image-alt",
            "document-title",
            "html-has-lang",
        ] {
            assert!(violations.contains(rule), "no {rule} in:\n{violations}");
        }
    }
    page.forget_record()?;
    assert_eq!(page.record()?.complaints, [""; 0]);
    Ok(())
}

#[test]
fn a_page_is_shown_on_every_device() -> Result<()> {
    let Some((_browser, page)) = start("a_page_is_shown_on_every_device", &Device::WIDE)? else {
        return Ok(());
    };
    let server = PageServer::start(&[("/", GOOD)])?;
    let mut seen = Vec::new();
    for device in Device::all() {
        page.show_on(&device)?;
        page.open(&server.url("/"))?;
        let heading = "getComputedStyle(document.querySelector('h1'), '::after').content";
        let is_dark = page.text(heading)?.contains("at night");
        let without_scripts = page.body()?.contains("No scripts run.");
        let width = page.evaluate("innerWidth")?.as_u64().context("no width")?;
        seen.push((width, is_dark, without_scripts));
        assert_eq!(page.overhang()?, 0);
    }
    let mut expected = Vec::new();
    for width in [1440, 390] {
        for is_dark in [false, true] {
            expected.extend([(width, is_dark, false), (width, is_dark, true)]);
        }
    }
    assert_eq!(seen, expected);
    Ok(())
}

#[test]
fn mouse_and_keys_do_what_a_visitor_does() -> Result<()> {
    let Some((_browser, page)) = start("mouse_and_keys_do_what_a_visitor_does", &Device::WIDE)?
    else {
        return Ok(());
    };
    let server = PageServer::start(&[("/", GOOD)])?;
    page.open(&server.url("/"))?;
    page.click("button")?;
    page.shift_click("button")?;
    page.wait_for("document.querySelector('output').textContent === '11'")?;
    page.click("#filter")?;
    page.type_text("ab/")?;
    page.press("Tab")?;
    assert_eq!(page.text("document.querySelector('input').value")?, "ab/");
    page.wait_for_text("a b / Tab")?;
    assert_eq!(page.text("document.activeElement.tagName")?, "BUTTON");
    page.press("Enter")?;
    page.wait_for("document.querySelector('output').textContent === '12'")?;
    // Chapter: what is not there cannot be clicked, and what does not happen is not waited for without end.
    let error = page.click("#nothing").unwrap_err();
    assert!(
        format!("{error:#}").contains("cannot click #nothing"),
        "{error:#}"
    );
    // Chapter: the page is loaded again, and has forgotten all.
    page.reload()?;
    assert_eq!(
        page.text("document.querySelector('output').textContent")?,
        "0"
    );
    Ok(())
}

#[test]
fn a_visitor_keeps_its_cookies_to_itself() -> Result<()> {
    let Some(browser) = Browser::or_not_run("a_visitor_keeps_its_cookies_to_itself")? else {
        return Ok(());
    };
    let server = PageServer::start(&[("/", GOOD)])?;
    let (alice, bob) = (browser.profile()?, browser.profile()?);
    let page = alice.page(&Device::WIDE)?;
    page.open(&server.url_at("pages.cluster.test", "/"))?;
    page.evaluate("document.cookie = 'who=alice; SameSite=Strict'")?;
    page.evaluate("document.cookie = 'wide=1; domain=cluster.test'")?;
    // A script's assignment may return before the browser keeps it; reading waits for that.
    assert_eq!(page.text("document.cookie")?, "who=alice; wide=1");
    let mut cookies = alice.cookies()?;
    cookies.sort_by(|a, b| a.name.cmp(&b.name));
    let shown: Vec<_> = cookies
        .iter()
        .map(|cookie| {
            (
                cookie.name.as_str(),
                cookie.domain.as_str(),
                cookie.same_site.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("who", "pages.cluster.test", "Strict"),
            ("wide", ".cluster.test", "")
        ]
    );
    assert_eq!(bob.cookies()?, []);
    let page = bob.page(&Device::WIDE)?;
    page.open(&server.url_at("pages.cluster.test", "/"))?;
    assert_eq!(page.text("document.cookie")?, "");
    Ok(())
}
