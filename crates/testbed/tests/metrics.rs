//! Metrics of a running scheduler and worker, read by Prometheus' own programs.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, find_program, wait_for};
use rustix::process::Signal;
use testbed::{POOL, Site, WAIT_LIMIT, get};

/// Returns the address of the scheduler's metrics.
fn scheduler(site: &Site) -> Result<SocketAddr> {
    let log = site.cluster.log("scheduler")?;
    let (_, rest) = log
        .split_once("Serving metrics at http://")
        .with_context(|| log.clone())?;
    let (address, _) = rest.split_once("/metrics").with_context(|| log.clone())?;
    Ok(address.parse()?)
}

/// Checks that `promtool` accepts a page.
fn check_page(page: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool
        .stdin
        .take()
        .context("no standard input")?
        .write_all(page.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && text.is_empty(),
        "promtool: {text}\nof:\n{page}"
    );
    Ok(())
}

fn can_run(name: &str) -> Option<Rig> {
    let rig = Rig::or_not_run(name)?;
    if find_program("promtool").is_some() && find_program("prometheus").is_some() {
        return Some(rig);
    }
    rig::report_not_run(
        name,
        "promtool and prometheus, of Debian's package prometheus",
    );
    None
}

#[test]
fn prometheus_understands_every_page() -> Result<()> {
    let Some(rig) = can_run("prometheus_understands_every_page") else {
        return Ok(());
    };
    // This name is allowed, so it must work.
    let mut site = Site::start(&rig, &[POOL, r#"a "quoted" \ pool"#])?;
    let worker = site.worker("w1", &[])?;
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Job succeeded"]);
    let address = scheduler(&site)?;
    let worker_path = format!("/pool/{POOL}/worker/w1/metrics");

    let (head, page) = get(address, "/metrics")?;
    ensure!(head.starts_with("HTTP/1.0 200"), "{head}");
    let ended = format!(r#"ocluster_pool_jobs_ended_total{{pool="{POOL}",result="ok"}} 1"#);
    ensure!(page.contains(&ended), "{page}");
    ensure!(page.contains(r#"{pool="a \"quoted\" \\ pool"}"#), "{page}");
    check_page(&page)?;
    let (head, page) = get(address, &worker_path)?;
    ensure!(head.starts_with("HTTP/1.0 200"), "{head}");
    ensure!(
        page.contains("ocluster_worker_jobs_accepted_total 1"),
        "{page}"
    );
    // Its engine is on this machine, so that it can read the free space of its disk.
    for filesystem in ["state", "docker"] {
        let readable =
            format!(r#"ocluster_worker_filesystem_readable{{filesystem="{filesystem}"}} 1"#);
        ensure!(page.contains(&readable), "{page}");
    }
    check_page(&page)?;

    // A connected worker that does not answer has a metric of its own.
    site.cluster.signal(worker.process(), Signal::STOP)?;
    let (head, body) = get(address, &worker_path)?;
    ensure!(head.starts_with("HTTP/1.0 500"), "{head}");
    ensure!(body == "Error: Worker metrics collection failed", "{body}");
    site.cluster.signal(worker.process(), Signal::CONT)?;
    let (head, _) = get(address, &worker_path)?;
    ensure!(head.starts_with("HTTP/1.0 200"), "{head}");
    site.finish()
}

#[test]
fn prometheus_scrapes_scheduler_and_worker() -> Result<()> {
    let Some(rig) = can_run("prometheus_scrapes_scheduler_and_worker") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let target = scheduler(&site)?;
    site.write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs:\n\
             - {{job_name: scheduler, static_configs: [{{targets: ['{target}']}}]}}\n\
             - {{job_name: worker, metrics_path: /pool/{POOL}/worker/w1/metrics, \
                 static_configs: [{{targets: ['{target}']}}]}}\n"
        ),
    )?;
    // It is free now, and used soon.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let program = find_program("prometheus").context("no prometheus")?;
    let prometheus = site.begin(&format!(
        "{} --config.file=prometheus.yml --storage.tsdb.path=tsdb --web.listen-address={address}",
        program.display()
    ))?;
    for (job, metric) in [
        ("scheduler", "ocluster_pool_workers_connected"),
        ("worker", "ocluster_worker_jobs_accepted_total"),
    ] {
        let path = format!("/api/v1/query?query={metric}%7Bjob=%22{job}%22%7D");
        let scraped = wait_for(metric, WAIT_LIMIT, || {
            let answer = get(address, &path).map(|(_, body)| body);
            Ok(answer
                .is_ok_and(|body| body.contains(r#""value":["#))
                .then_some(()))
        });
        scraped.with_context(|| prometheus.output_so_far())?;
    }
    drop(prometheus);
    site.finish()
}
