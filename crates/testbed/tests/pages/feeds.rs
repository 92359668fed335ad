//! Feeds and badges, which programs read that keep no cookie.

use anyhow::Result;
use browser::{Device, Page};

use crate::cluster::Pages;

/// Returns the addresses of the feed and the badge on a page of jobs.
fn addresses(page: &Page) -> Result<(String, String)> {
    let link = |kind: &str| {
        page.text(&format!(
            "document.querySelector('#addresses a[href^=\"/{kind}/\"]').getAttribute('href')"
        ))
    };
    Ok((link("feed")?, link("badge")?))
}

/// Checks that the address of a feed opens nothing else, and that nothing is open without one.
fn check_refused(pages: &Pages, feed: &str) -> Result<()> {
    let refused = [
        feed.replace("main", "other"),
        feed.replace("/feed/", "/badge/").replace(".atom", ".svg"),
        format!("{feed}?pool=linux-arm64"),
        feed.replace("/feed/", "/feed/A"),
        "/feed/branch%3Dmain.atom".to_owned(),
        "/badge/branch%3Dmain.svg".to_owned(),
    ];
    for path in &refused {
        let answer = pages.get(path)?;
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    Ok(())
}

#[test]
fn a_feed_is_read_without_a_session_until_its_client_has_gone() -> Result<()> {
    let Some(pages) = Pages::start("a_feed_is_read_without_a_session_until_its_client_has_gone")?
    else {
        return Ok(());
    };
    let cap = pages.site.add_client("alice")?;
    let of_others = pages.run("true", &["--label=branch=main"])?;
    let submit = pages.site.custom("script", "exit 3")?.cap(&cap);
    let submit = submit.args(&["--detach", "--label=branch=main"]);
    let output = submit.run()?.check(0, &[]);
    let of_alice = output.stdout.split_whitespace().next().unwrap_or_default();
    pages
        .site
        .run(&format!("ocluster-client wait {cap} {of_alice}"))?;

    // Chapter: a client's feed has its own jobs, and is for this label alone.
    let alice = pages.visitor(&pages.link(&format!("ocluster-client web {cap}"))?)?;
    let page = alice.page(&Device::PHONE)?;
    page.open(&pages.url("/jobs?label=branch%3Dmain"))?;
    assert_eq!(page.overhang()?, 0);
    let (feed, badge) = addresses(&page)?;
    let answer = pages.get(&feed)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains(&format!("{}/job/{of_alice}", pages.origin())),
        "{answer}"
    );
    assert!(!answer.contains(&of_others), "{answer}");
    let answer = pages.get(&badge)?;
    assert!(
        answer.contains("<svg") && answer.contains("failed"),
        "{answer}"
    );
    check_refused(&pages, &feed)?;

    // Chapter: an operator's has all.
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url("/jobs?label=branch%3Dmain"))?;
    let (all, _) = addresses(&page)?;
    let answer = pages.get(&all)?;
    assert!(
        answer.contains(of_alice) && answer.contains(&of_others),
        "{answer}"
    );

    // Chapter: the client is removed, and with it its feed. No address is in the scheduler's log.
    let remove = "ocluster-admin remove-client ./capnp-secrets/admin.cap alice";
    pages.site.run(remove)?.check(0, &[]);
    let answer = pages.get(&feed)?;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let log = pages.site.cluster.log("scheduler")?;
    for address in [&feed, &badge, &all] {
        let token = address.split('/').nth(2).unwrap_or_default();
        assert!(
            token.len() > 40 && !log.contains(token),
            "{address} in:\n{log}"
        );
    }
    pages.finish()
}
