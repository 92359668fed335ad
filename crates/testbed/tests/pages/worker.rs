//! What a worker's page has of its machine and its past, what pages tell of clients and hints, and what they find.

use anyhow::{Context as _, Result};
use browser::{Axe, Device, Scripts};
use testbed::POOL;

use crate::cluster::{Pages, check_page};

#[test]
fn a_workers_page_has_its_disks_graphs_and_registrations() -> Result<()> {
    let name = "a_workers_page_has_its_disks_graphs_and_registrations";
    let Some(mut pages) = Pages::start(name)? else {
        return Ok(());
    };
    let axe = Axe::or_not_run(name)?;
    let operator = pages.operator()?;
    let url = pages.url(&format!("/worker/{POOL}/w1"));

    // Chapter: soon after it has registered, it was asked for its metrics.
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url(&format!("/pool/{POOL}/workers")))?;
    page.reload_until("document.getElementById('workers').innerText.includes('% free')")?;
    page.open(&url)?;
    page.wait_for("document.querySelectorAll('.graphs svg.graph').length === 2")?;
    for text in ["Free disk space", "processors", "state"] {
        page.wait_for_text(text)?;
    }

    // Chapter: it is stopped, and registers again.
    let worker = pages.site.cluster.worker_named("w1").context("no worker")?;
    pages.site.cluster.stop_worker(&worker)?;
    page.wait_for("document.getElementById('worker-state').textContent === 'away'")?;
    pages.site.cluster.start_obuilder_worker(
        POOL,
        "w1",
        &["--custom=script=bash", "--capacity=2"],
    )?;
    page.reload_until("document.querySelectorAll('#registrations tbody tr').length === 2")?;
    let rows = page.text("document.getElementById('registrations').innerText")?;
    assert!(
        rows.contains("still connected") && rows.contains("127.0.0.1"),
        "{rows}"
    );
    let ends = "[...document.querySelectorAll('#registrations tbody tr')].map(row => row.lastElementChild.innerText)";
    assert_eq!(page.evaluate(&format!("{ends}[0]"))?, "–");
    assert_ne!(page.evaluate(&format!("{ends}[1]"))?, "–");
    let read = "fetch(location.pathname + '.json').then(answer => answer.json())";
    let json = page.evaluate(&format!("{read}.then(page => page.registrations.length)"))?;
    assert_eq!(json, 2);
    let lines = "new Set(page.graphs.flatMap(graph => graph.points).map(point => point.kind)).size";
    let json = page.evaluate(&format!("{read}.then(page => {lines})"))?;
    assert!(json.as_u64().is_some_and(|lines| lines >= 3), "{json}");
    for device in Device::all() {
        let page = operator.page(&device)?;
        page.open(&url)?;
        let what = format!("a worker's page on {device:?}");
        check_page(&page, &pages.origin(), &what)?;
        if let Some(axe) = axe.as_ref().filter(|_| device.scripts == Scripts::On) {
            assert_eq!(axe.violations(&page)?, [""; 0], "{what}");
        }
    }
    pages.finish()
}

#[test]
fn pages_know_shares_last_jobs_warm_jobs_and_findings() -> Result<()> {
    let name = "pages_know_shares_last_jobs_warm_jobs_and_findings";
    let Some(pages) = Pages::start(name)? else {
        return Ok(());
    };
    let hint = ["--cache-hint=project"];
    pages.run("sleep 0.1", &hint)?;
    pages.run("sleep 0.1", &hint)?;
    pages.run("exit 3", &[])?;
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;

    // Chapter: one client has had all of the time, and the worker has failed once.
    page.open(&pages.url(&format!("/pool/{POOL}")))?;
    page.reload_until("document.getElementById('clients')?.innerText.includes('100 %')")?;
    page.open(&pages.url(&format!("/pool/{POOL}/workers")))?;
    page.reload_until("document.getElementById('workers').innerText.includes('1 failed')")?;

    // Chapter: the first job with a hint was cold, and the second one warm.
    page.open(&pages.url("/jobs?hint=project"))?;
    for kind in ["warm", "cold"] {
        let dots = format!("document.querySelectorAll('.graph .dot.{kind}').length");
        assert_eq!(page.evaluate(&dots)?, 1, "{kind}");
    }
    check_page(&page, &pages.origin(), "the times of a hint")?;

    // Chapter: what doctor finds is on the first page.
    pages
        .site
        .run(&format!(
            "ocluster-admin pause ./capnp-secrets/admin.cap {POOL} w1"
        ))?
        .check(0, &[]);
    let doctor = pages
        .site
        .run("ocluster doctor --connect ./capnp-secrets/admin.cap")?;
    let found = doctor.stdout.contains("paused by an operator");
    assert!(found, "{doctor}");
    page.open(&pages.url("/"))?;
    page.wait_for_text("worker w1: paused by an operator")?;
    page.wait_for_text(&format!("ocluster-admin unpause admin.cap {POOL} w1"))?;
    check_page(&page, &pages.origin(), "findings")?;
    pages.finish()
}
