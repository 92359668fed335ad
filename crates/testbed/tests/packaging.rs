//! What operators install: the packages and units, under a systemd of their own, and the alert rules and the
//! dashboard, in a Prometheus that has scraped a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Holder, Name, Rig, checked, find_program, output_within, wait_for};
use serde_json::Value;
use testbed::{POOL, Program, Site, WAIT_LIMIT, get, query};

/// The time limit for the container that boots and installs the packages, on a busy machine.
const STORY_LIMIT: Duration = Duration::from_secs(400);

const UNITS: [&str; 4] = [
    "ocluster-scheduler.service",
    "ocluster-scheduler-key.service",
    "ocluster-worker@.service",
    "ocluster-worker-obuilder@.service",
];

fn project() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn packaging(path: &str) -> PathBuf {
    project().join("packaging").join(path)
}

/// Returns the machines, if these programs are installed, too.
fn can_run(test: &str, programs: &[&str]) -> Option<Rig> {
    let rig = Rig::or_not_run(test)?;
    if let Some(missing) = programs.iter().find(|name| find_program(name).is_none()) {
        rig::report_not_run(test, missing);
        return None;
    }
    Some(rig)
}

#[test]
fn systemd_accepts_the_units() -> Result<()> {
    let name = "systemd_accepts_the_units";
    let Some(rig) = can_run(name, &["systemd-analyze"]) else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    // By a path without spaces, which the path of the checkout may have.
    let programs = folder.path().join("programs");
    symlink(rig.programs(), &programs)?;
    let programs = programs.display();
    for unit in UNITS {
        let text = fs::read_to_string(packaging("systemd").join(unit))?;
        // By the path of the programs here: systemd checks that they exist.
        let text = text.replace("/usr/bin/ocluster", &format!("{programs}/ocluster"));
        fs::write(folder.path().join(unit), text)?;
    }
    // A template is checked as the unit of some worker.
    let units = UNITS.map(|unit| folder.path().join(unit.replace('@', "@my-host")));
    for (unit, path) in UNITS
        .iter()
        .zip(&units)
        .filter(|(unit, _)| unit.contains('@'))
    {
        fs::copy(folder.path().join(unit), path)?;
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && text.is_empty(), "{text}");
    // 10 is the exposure of a service without any restriction. A worker that creates containers is close to it.
    for (unit, most) in [
        ("ocluster-scheduler.service", "1.2"),
        ("ocluster-scheduler-key.service", "1.5"),
        ("ocluster-worker@my-host.service", "2.0"),
    ] {
        let threshold = format!("--threshold={}", most.replace('.', ""));
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager", &threshold]);
        checked(security.arg(folder.path().join(unit)))?;
    }
    Ok(())
}

#[test]
fn packages_work_under_systemd() -> Result<()> {
    let programs = ["systemd-nspawn", "cargo-deb", "dpkg-shlibdeps"];
    let Some(rig) = can_run("packages_work_under_systemd", &programs) else {
        return Ok(());
    };
    if !rig::is_root() {
        rig::report_not_run("packages_work_under_systemd", "root");
        return Ok(());
    }
    let name = Name::new()?;
    let holder = Holder::start(&name)?;
    let folder = holder.folder().join("story");
    fs::create_dir(&folder)?;
    let xtask = rig.programs().join("xtask");
    let mut make = Command::new(xtask);
    let made = output_within(make.args(["deb", "--for-tests"]).arg(&folder), STORY_LIMIT)?;
    let text = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "cannot make the packages: {text}");
    let scripts = project().join("crates/testbed/tests/packaging");
    fs::copy(scripts.join("story.sh"), folder.join("story.sh"))?;
    holder.remove_cgroup(&name)?;
    let mut boot = Command::new(scripts.join("boot.sh"));
    boot.arg(&folder).arg(name.as_str());
    let booted = holder.run_private(&boot, "console.log")?;
    let ended = holder.wait(booted, STORY_LIMIT);
    let text = fs::read_to_string(folder.join("output")).unwrap_or_default();
    let console = fs::read_to_string(holder.log("console.log")).unwrap_or_default();
    ended.with_context(|| format!("output:\n{text}\nconsole:\n{console}"))?;
    let version = env!("CARGO_PKG_VERSION");
    let expected = include_str!("packaging/expected.txt").replace("VERSION", version);
    ensure!(
        text == expected,
        "output:\n{text}\nexpected:\n{expected}\nconsole:\n{console}"
    );
    holder.finish()
}

#[test]
fn every_alert_links_to_an_existing_section() -> Result<()> {
    let rules = fs::read_to_string(packaging("prometheus/ocluster.rules.yml"))?;
    let mut seen = 0;
    for place in rules
        .lines()
        .filter_map(|line| line.split_once("runbook: "))
    {
        let (page, anchor) = place.1.split_once('#').context("no anchor")?;
        let page = fs::read_to_string(project().join(page))?;
        let is_there = page.lines().any(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            line.starts_with('#') && heading.replace(' ', "-") == anchor
        });
        ensure!(is_there, "no heading {anchor}");
        seen += 1;
    }
    ensure!(
        seen == rules.matches("- alert:").count(),
        "only {seen} runbooks"
    );
    Ok(())
}

#[test]
fn prometheus_accepts_the_rules() -> Result<()> {
    if can_run("prometheus_accepts_the_rules", &["promtool"]).is_none() {
        return Ok(());
    }
    for (what, path) in [
        (["check", "config"], "prometheus/prometheus.yml"),
        (["check", "rules"], "prometheus/ocluster.rules.yml"),
        (
            ["test", "rules"],
            "prometheus/tests/ocluster.rules.test.yml",
        ),
    ] {
        checked(Command::new("promtool").args(what).arg(packaging(path)))?;
    }
    Ok(())
}

/// A Prometheus with the configuration for operators.
struct Prometheus {
    running: Program,
    address: SocketAddr,
}

impl Prometheus {
    fn start(site: &Site, scheduler: &str) -> Result<Self> {
        let config = fs::read_to_string(packaging("prometheus/prometheus.yml"))?;
        let config = config
            .replace("scheduler:9090", scheduler)
            .replace(": 30s", ": 1s");
        site.write("prometheus.yml", config)?;
        let rules = "ocluster.rules.yml";
        site.write(rules, fs::read(packaging("prometheus").join(rules))?)?;
        // It is free now, and used soon.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = find_program("prometheus").context("no prometheus")?;
        let running = site.begin(&format!(
            "{} --config.file=prometheus.yml --storage.tsdb.path=tsdb --web.listen-address={address}",
            program.display()
        ))?;
        Ok(Self { running, address })
    }

    fn query(&self, path: &str) -> Result<Value> {
        let (_, body) = get(self.address, path)?;
        let answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(answer["status"] == "success", "{path}: {body}");
        Ok(answer["data"].clone())
    }

    /// Returns the labels of each series of an expression.
    fn series(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.query(&format!("/api/v1/query?query={}", query(expression)))?;
        let found = data["result"].as_array().context("no result")?;
        Ok(found
            .iter()
            .map(|series| series["metric"].clone())
            .collect())
    }

    fn wait_for(&self, expression: &str) -> Result<()> {
        let seen = wait_for(expression, WAIT_LIMIT, || {
            let series = self.series(expression).unwrap_or_default();
            Ok((!series.is_empty()).then_some(()))
        });
        seen.with_context(|| self.running.output_so_far())
    }

    /// Returns the expressions of the alert rules that it has loaded.
    fn rules(&self) -> Result<Vec<String>> {
        let groups = self.query("/api/v1/rules")?;
        let found = strings(&groups, "query");
        ensure!(found.len() > 10, "only these rules: {groups}");
        Ok(found)
    }

    /// Checks that every metric of an expression exists, with the labels that it selects and groups by.
    fn check(&self, expression: &str) -> Result<()> {
        let expression = &substitute_variables(expression);
        self.series(expression)?;
        let mut labels = BTreeSet::new();
        for selector in selectors(expression) {
            let series = self.series(&selector)?;
            ensure!(
                !series.is_empty(),
                "nothing is called {selector}, in {expression}"
            );
            for series in series {
                let named = series.as_object().context("no labels")?;
                labels.extend(named.keys().cloned());
            }
        }
        ensure!(!labels.is_empty(), "no metric of ours in {expression}");
        for label in grouping(expression) {
            ensure!(labels.contains(label), "no label {label}, in {expression}");
        }
        Ok(())
    }
}

/// Returns the expression as Grafana sends it, with everything selected.
fn substitute_variables(expression: &str) -> String {
    [
        ("$pool", ".*"),
        ("$worker", ".*"),
        ("$__rate_interval", "1m"),
    ]
    .iter()
    .fold(expression.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

/// Returns all strings with the key `key` in a document.
fn strings(document: &Value, key: &str) -> Vec<String> {
    match document {
        Value::Array(items) => items.iter().flat_map(|item| strings(item, key)).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == key => vec![text.clone()],
                value => strings(value, key),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the selectors of an expression: the name of each metric, with its labels in braces.
fn selectors(expression: &str) -> Vec<String> {
    const PREFIXES: [&str; 4] = ["ocluster_", "capnp_", "process_", "up{"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let braces = after.starts_with('{').then(|| after.find('}')).flatten();
        let selector = &rest[..end + braces.map_or(0, |brace| brace + 1)];
        if PREFIXES.iter().any(|prefix| selector.starts_with(prefix)) {
            found.push(selector.to_owned());
        }
        rest = &rest[selector.len().max(word.len())..];
    }
    found
}

/// Returns the labels that an expression groups or matches by.
fn grouping(expression: &str) -> Vec<&str> {
    let lists = ["by (", "on (", "without (", "ignoring ("].into_iter();
    lists
        .flat_map(|word| expression.split(word).skip(1))
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .collect()
}

#[test]
fn selectors_and_grouping_of_an_expression() {
    let expression = r#"sum by (le, pool) (rate(ocluster_a_bucket{x="b:(}"}[1m])) / on (pool) up{job="c"} > 3 and x"#;
    assert_eq!(grouping(expression), ["le", "pool", "pool"]);
    let expression = r#"a_ocluster_b + ocluster_c{d="e"}[3m] - up{job="f"} * process_g"#;
    let expected = [r#"ocluster_c{d="e"}"#, r#"up{job="f"}"#, "process_g"];
    assert_eq!(selectors(expression), expected);
}

#[test]
fn rules_and_panels_show_metrics_that_exist() -> Result<()> {
    let name = "rules_and_panels_show_metrics_that_exist";
    let Some(rig) = can_run(name, &["prometheus"]) else {
        return Ok(());
    };
    let logs = tempfile::tempdir()?;
    let log_store = format!("--log-store=dir:{}", logs.path().display());
    // Some metrics are those of a scheduler with a database.
    let database = rig::PostgreSql::start(&[])?;
    let store = format!("--store={}", database.create("farm")?);
    let mut site = Site::start_with(&rig, &[POOL], &["--web=127.0.0.1:0", &log_store, &store])?;
    site.obuilder_worker("obuilder", &[])?;
    // So that there are a client, and jobs that succeeded and failed.
    for (op, code) in [("true", 0), ("false", 1)] {
        site.spec(&format!(
            "((from busybox) (shell /bin/sh -c) (run (shell {op})))"
        ))?
        .run()?
        .check(code, &[]);
    }
    site.worker("docker", &[])?;
    let log = site.cluster.log("scheduler")?;
    let served = log.split_once("Serving metrics at http://");
    let (scheduler, _) = served
        .and_then(|(_, rest)| rest.split_once("/metrics"))
        .with_context(|| log.clone())?;
    let prometheus = Prometheus::start(&site, scheduler)?;
    for worker in ["docker", "obuilder"] {
        prometheus.wait_for(&format!(
            r#"up{{job="ocluster-worker", worker="{worker}"}} == 1"#
        ))?;
    }
    prometheus.wait_for(r#"up{job="ocluster-scheduler"} == 1"#)?;

    let dashboard = fs::read_to_string(packaging("grafana/ocluster.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let panels = strings(&dashboard, "expr");
    ensure!(panels.len() > 50, "only these panels: {panels:?}");
    for expression in panels.into_iter().chain(prometheus.rules()?) {
        prometheus.check(&expression)?;
    }

    // A lost worker causes an alert until it is forgotten.
    let lost = site.cluster.worker_named("docker").context("no worker")?;
    site.cluster.stop_worker(&lost)?;
    prometheus
        .wait_for(r#"up{job="ocluster-worker", pool="linux-x86_64", worker="docker"} == 0"#)?;
    prometheus.wait_for(r#"ALERTS{alertname="OClusterWorkerLost", worker="docker"}"#)?;
    site.admin("forget linux-x86_64 docker")?.check(0, &[]);
    prometheus.wait_for(r#"absent(up{worker="docker"})"#)?;
    drop(prometheus);
    site.finish()
}
