//! Every page, wide and on a phone, light and dark, with scripts and without.

use anyhow::Result;
use browser::{Axe, Device, Scripts};
use testbed::POOL;

use crate::cluster::{Pages, check_page};

/// A log with what real builds print.
const BUILD: &str =
    "echo plain; printf '\\033[1;32mgreen\\033[0m\\n'; echo 'see https://example.org/docs'";

#[test]
fn every_page_is_good_on_every_device() -> Result<()> {
    let name = "every_page_is_good_on_every_device";
    let Some(pages) = Pages::start(name)? else {
        return Ok(());
    };
    let axe = Axe::or_not_run(name)?;
    let succeeded = pages.run(BUILD, &["--cache-hint=project", "--label=branch=main"])?;
    let failed = pages.run(
        "echo 'error: it broke' >&2; exit 3",
        &["--label=branch=main"],
    )?;
    let running = pages.submit("echo begun; exec sleep 1000", &[])?;
    let queued = pages.site.custom("script", "true")?.pool("linux-arm64");
    queued.args(&["--detach", "--urgent"]).run()?.check(0, &[]);
    let operator = pages.operator()?;
    // Each with a text that it must have.
    let all = [
        ("/".to_owned(), POOL),
        (format!("/pool/{POOL}"), "Running"),
        ("/pool/linux-arm64".to_owned(), "no worker"),
        (format!("/pool/{POOL}/workers"), "w1"),
        (format!("/worker/{POOL}/w1"), "w1"),
        (format!("/job/{succeeded}"), "green"),
        (format!("/job/{failed}"), "error: it broke"),
        (format!("/job/{running}"), "begun"),
        ("/jobs".to_owned(), "branch"),
        ("/jobs?label=branch%3Dmain".to_owned(), "branch"),
        ("/audit".to_owned(), "Audit"),
        ("/enter".to_owned(), "link"),
    ];
    for device in Device::all() {
        let page = operator.page(&device)?;
        for (path, text) in &all {
            let what = format!("{path} on {device:?}");
            page.open(&pages.url(path))?;
            let body = page.body()?.to_lowercase();
            assert!(
                body.contains(&text.to_lowercase()),
                "{what} has no {text:?}:\n{body}"
            );
            check_page(&page, &pages.origin(), &what)?;
            if let Some(axe) = axe.as_ref().filter(|_| device.scripts == Scripts::On) {
                assert_eq!(axe.violations(&page)?, [""; 0], "{what}");
            }
        }
    }
    // Chapter: a page that is not there says so, and a visitor without a link learns how to get one.
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url("/nowhere"))?;
    assert_eq!(page.overhang()?, 0);
    let stranger = pages.browser.profile()?.page(&Device::PHONE)?;
    stranger.open(&pages.url("/"))?;
    stranger.wait_for_text("ocluster-admin web")?;
    assert_eq!(stranger.overhang()?, 0);
    pages.finish()
}
