//! The Helm chart: Helm renders it, the schemas of Kubernetes accept it, and the programs accept the options in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use browser::built_files;
use rig::{Rig, checked, report_not_run};
use serde_json::Value;

/// What the schemas of Kubernetes do not have, as other programs add them.
const WITHOUT_SCHEMA: [&str; 2] = ["PodMonitor", "ScaledObject"];

/// Values that use all that the chart can do.
const VALUES: &str = r#"
image: {registry: registry.example.org/ci, pullSecrets: [registry]}
scheduler:
  publicAddress: tcp:ci.example.org:9000
  pools: [linux-x86_64, linux-arm64]
  clients: [alice, bob]
  keySecret: ocluster-key
  web: {enabled: true, url: "https://ci.example.org", public: queue}
  service: {type: LoadBalancer, annotations: {example.org/network: builders}}
  args: [--keep-logs=90]
  nodeSelector: {disk: ssd}
workers:
  - name: x86
    pool: linux-x86_64
    autoscaling: {enabled: true, maxReplicas: 20}
  - name: arm
    pool: linux-arm64
    capSecret: arm-workers
    replicas: 3
    capacity: 8
    obuilder: {store: btrfs, size: 1Ti}
    nodeSelector: {kubernetes.io/arch: arm64}
    tolerations: [{key: builders, operator: Exists}]
    args: [--job-timeout=7200]
    env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
podMonitor: {enabled: true, labels: {release: prometheus}}
"#;

/// Reads documents of YAML, and writes them as JSON.
const TO_JSON: &str = "import json, sys, yaml
with open(sys.argv[1]) as file:
    json.dump([document for document in yaml.safe_load_all(file) if document], sys.stdout)";

/// Helm and the schemas, as `cargo xtask test` fetches them, and the chart.
struct Chart {
    tools: PathBuf,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Chart {
    fn or_not_run(test: &str) -> Result<Option<Self>> {
        let Some(rig) = Rig::or_not_run(test) else {
            return Ok(None);
        };
        let programs = rig.programs().to_owned();
        let tools = built_files().join("tools/kubernetes");
        if !tools.join("requirements.txt").exists() {
            report_not_run(test, "Helm, which `cargo xtask test` fetches with pip");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        Ok(Some(Self {
            tools,
            programs,
            folder,
        }))
    }

    fn helm(&self, command: &str) -> Command {
        let mut helm = Command::new(self.tools.join("bin/helm"));
        // Nothing of the user who runs the tests.
        helm.env("HOME", self.folder.path()).arg(command);
        helm
    }

    fn python(&self) -> Command {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &self.tools);
        python
    }

    /// Renders the chart with these values into a file.
    fn render(&self, values: &str) -> Result<PathBuf> {
        let given = self.folder.path().join("values.yaml");
        std::fs::write(&given, values)?;
        let mut template = self.helm("template");
        template.args(["ci", "--namespace=builds"]).arg(chart());
        let rendered = checked(template.arg("--values").arg(given))?;
        let file = self.folder.path().join("rendered.yaml");
        std::fs::write(&file, rendered)?;
        Ok(file)
    }

    /// Returns the documents of the rendered chart.
    fn documents(&self, values: &str) -> Result<Vec<Value>> {
        let mut convert = self.python();
        convert.args(["-c", TO_JSON]).arg(self.render(values)?);
        Ok(serde_json::from_str(&checked(&mut convert)?)?)
    }
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/helm/ocluster")
}

fn kind(document: &Value) -> &str {
    document["kind"].as_str().unwrap_or_default()
}

#[test]
fn kubernetes_accepts_the_chart() -> Result<()> {
    let Some(chart_tools) = Chart::or_not_run("kubernetes_accepts_the_chart")? else {
        return Ok(());
    };
    for values in ["", VALUES] {
        let file = chart_tools.render(values)?;
        let mut lint = chart_tools.helm("lint");
        lint.args(["--strict", "--quiet"]).arg(chart());
        let given = chart_tools.folder.path().join("values.yaml");
        checked(lint.arg("--values").arg(given))?;
        let mut validate = chart_tools.python();
        validate.args(["-m", "kubernetes_validate", "--strict"]);
        let output = validate.arg(file).output()?;
        let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{text}");
        let is_expected = |line: &&str| {
            let unknown = |kind: &&str| line.contains(&format!("find schema for kind {kind} "));
            line.starts_with("INFO") && line.contains(" passed for ")
                || WITHOUT_SCHEMA.iter().any(unknown)
        };
        let unexpected = text.lines().find(|line| !is_expected(line));
        ensure!(unexpected.is_none(), "{unexpected:?} in {text}");
        ensure!(text.contains("passed for resource statefulset/"), "{text}");
    }
    Ok(())
}

#[test]
fn the_programs_accept_the_options_of_the_chart() -> Result<()> {
    let name = "the_programs_accept_the_options_of_the_chart";
    let Some(chart) = Chart::or_not_run(name)? else {
        return Ok(());
    };
    let mut shown = String::new();
    for document in chart.documents(VALUES)? {
        if kind(&document) != "StatefulSet" {
            continue;
        }
        let container = &document["spec"]["template"]["spec"]["containers"][0];
        let program = match container["name"].as_str() {
            Some("scheduler") => "ocluster-scheduler",
            _ => "ocluster-worker",
        };
        let mut command = Command::new(chart.programs.join(program));
        command.env_clear().env("HOME", chart.folder.path());
        for argument in container["args"].as_array().into_iter().flatten() {
            let argument = argument.as_str().context("not a text")?;
            command.arg(argument.replace("$(POD_NAME)", "worker-0"));
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = variable["value"].as_str().unwrap_or("worker-0");
            command.env(variable["name"].as_str().context("no name")?, value);
        }
        shown += &checked(command.arg("--print-config"))?;
    }
    for value in [
        "tcp:ci.example.org:9000",
        "linux-arm64",
        "https://ci.example.org",
        "btrfs:/var/lib/ocluster-worker/obuilder",
        "7200",
        "json",
    ] {
        assert!(shown.contains(value), "{value} in {shown}");
    }
    Ok(())
}

#[test]
fn everything_in_the_chart_selects_pods_of_it() -> Result<()> {
    let name = "everything_in_the_chart_selects_pods_of_it";
    let Some(chart) = Chart::or_not_run(name)? else {
        return Ok(());
    };
    let documents = chart.documents(VALUES)?;
    let pods: Vec<&Value> = documents
        .iter()
        .filter(|document| kind(document) == "StatefulSet")
        .map(|document| &document["spec"]["template"])
        .collect();
    let mut kinds = BTreeSet::new();
    for document in &documents {
        let spec = &document["spec"];
        let selector = match kind(document) {
            "Service" => &spec["selector"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "StatefulSet" | "PodMonitor" => &spec["selector"]["matchLabels"],
            _ => continue,
        };
        kinds.insert(kind(document));
        let wanted = selector.as_object().context("no selector")?;
        let selected: Vec<&&Value> = pods
            .iter()
            .filter(|pod| {
                let labels = &pod["metadata"]["labels"];
                wanted.iter().all(|(name, value)| labels[name] == *value)
            })
            .collect();
        let what = &document["metadata"]["name"];
        ensure!(!selected.is_empty(), "{what} selects nothing");
        let expected = if what.as_str().is_some_and(|name| name.ends_with("-workers")) {
            2
        } else {
            1
        };
        ensure!(selected.len() == expected, "{what} selects other pods, too");
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    Ok(())
}

#[test]
fn wrong_values_are_refused() -> Result<()> {
    let Some(chart_tools) = Chart::or_not_run("wrong_values_are_refused")? else {
        return Ok(());
    };
    for (values, expected) in [
        (
            "scheduler: {publicAddress: ci.example.org}",
            "publicAddress",
        ),
        ("schedulers: {}", "schedulers"),
        (
            "workers: [{name: x86, pool: arm}]",
            "the scheduler has no pool \"arm\"; add it to scheduler.pools",
        ),
        ("workers: [{name: X86, pool: linux-x86_64}]", "name"),
        (
            "workers: [{name: x, pool: linux-x86_64, capacity: 0}]",
            "capacity",
        ),
    ] {
        let refused = chart_tools.render(values).err().context(values)?;
        let refused = format!("{refused:#}");
        assert!(refused.contains(expected), "{values}: {refused}");
    }
    Ok(())
}
