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

/// Values for two schedulers.
const TWO_SCHEDULERS: &str = r#"
scheduler:
  replicas: 2
  keySecret: ocluster-key
  store:
    address: "postgres://ocluster@db.example.org/ocluster?sslrootcert=/etc/ocluster/store/ca.crt"
    secret: ocluster-store
  logStore:
    address: "s3://farm-logs/ocluster?endpoint=https://minio.example.org:9000&region=eu"
    secret: ocluster-log-store
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

/// Returns the document of this kind and name.
fn named<'a>(documents: &'a [Value], wanted: &str, name: &str) -> Result<&'a Value> {
    let found = documents
        .iter()
        .find(|document| kind(document) == wanted && document["metadata"]["name"] == name);
    found.with_context(|| format!("no {wanted} {name}"))
}

/// Returns the arguments of the first container of a StatefulSet.
fn arguments(set: &Value) -> Vec<&str> {
    let arguments = &set["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().into_iter().flatten();
    arguments.filter_map(Value::as_str).collect()
}

#[test]
fn kubernetes_accepts_the_chart() -> Result<()> {
    let Some(chart_tools) = Chart::or_not_run("kubernetes_accepts_the_chart")? else {
        return Ok(());
    };
    for values in ["", VALUES, TWO_SCHEDULERS] {
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
    for document in [VALUES, TWO_SCHEDULERS]
        .into_iter()
        .map(|values| chart.documents(values))
        .collect::<Result<Vec<_>>>()?
        .concat()
    {
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
        for argument in arguments(&document) {
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
        "@db.example.org/ocluster?sslrootcert=/etc/ocluster/store/ca.crt",
        "/etc/ocluster/store/password",
        "s3://farm-logs/ocluster?endpoint=https://minio.example.org:9000&region=eu",
        "/etc/ocluster/log-store/credentials",
        "tcp:ci-ocluster-scheduler-1.ci-ocluster-schedulers.builds.svc:9000",
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
fn two_schedulers_are_found_by_their_names_and_the_leader_by_one() -> Result<()> {
    let name = "two_schedulers_are_found_by_their_names_and_the_leader_by_one";
    let Some(chart) = Chart::or_not_run(name)? else {
        return Ok(());
    };
    let documents = chart.documents(TWO_SCHEDULERS)?;
    let schedulers = named(&documents, "StatefulSet", "ci-ocluster-scheduler")?;
    let template = &schedulers["spec"]["template"];

    // A standby is never ready, so nothing waits for it, and it may be evicted. The leader may not.
    assert_eq!(schedulers["spec"]["replicas"], 2);
    assert_eq!(schedulers["spec"]["podManagementPolicy"], "Parallel");
    let budget = &named(&documents, "PodDisruptionBudget", "ci-ocluster-scheduler")?["spec"];
    assert_eq!(budget["minAvailable"], 1);
    assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let labels = &template["metadata"]["labels"];
    let selected = budget["selector"]["matchLabels"].as_object();
    for (label, value) in selected.context("the budget selects nothing")? {
        assert_eq!(labels[label], *value, "{label} of the budget");
    }

    // The Service in cap files has only the pod that is ready; that of the pods' names has both.
    let leader = &named(&documents, "Service", "ci-ocluster-scheduler")?["spec"];
    assert!(leader["publishNotReadyAddresses"].is_null(), "{leader}");
    let ready = &template["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"];
    assert_eq!(ready, "/readyz");
    let governor = schedulers["spec"]["serviceName"].as_str();
    let governor = governor.context("no name of a Service")?;
    let both = &named(&documents, "Service", governor)?["spec"];
    assert_eq!(both["clusterIP"], "None");
    assert_eq!(both["publishNotReadyAddresses"], true);

    // Workers know the pods by these names.
    let workers = named(&documents, "StatefulSet", "ci-ocluster-worker-x86")?;
    let also: Vec<&str> = arguments(workers)
        .into_iter()
        .filter_map(|argument| argument.strip_prefix("--also="))
        .collect();
    let pod = |number| format!("tcp:ci-ocluster-scheduler-{number}.{governor}.builds.svc:9000");
    assert_eq!(also, [pod(0), pod(1)]);

    // A standby may look whether the leader can be reached, even if nobody else is let in.
    let closed = format!("{TWO_SCHEDULERS}networkPolicy: {{allowedFrom: []}}\n");
    let documents = chart.documents(&closed)?;
    let policy = &named(&documents, "NetworkPolicy", "ci-ocluster-scheduler")?["spec"];
    let peers = policy["ingress"][0]["from"]
        .as_array()
        .context("no peers")?;
    let own = &policy["podSelector"];
    let is_own = |peer: &Value| peer["podSelector"] == *own;
    assert!(peers.iter().any(is_own), "{peers:?} without {own}");
    Ok(())
}

#[test]
fn a_secret_is_where_the_options_look_for_it() -> Result<()> {
    let name = "a_secret_is_where_the_options_look_for_it";
    let Some(chart) = Chart::or_not_run(name)? else {
        return Ok(());
    };
    let documents = chart.documents(TWO_SCHEDULERS)?;
    let scheduler = named(&documents, "StatefulSet", "ci-ocluster-scheduler")?;
    let pod = &scheduler["spec"]["template"]["spec"];
    for (option, file, secret) in [
        ("--store-password-file", "password", "ocluster-store"),
        (
            "--log-store-credentials",
            "credentials",
            "ocluster-log-store",
        ),
    ] {
        let option = format!("{option}=");
        let given = arguments(scheduler)
            .into_iter()
            .find_map(|argument| argument.strip_prefix(&option));
        let folder = given
            .and_then(|path| path.strip_suffix(&format!("/{file}")))
            .with_context(|| format!("{option} has no {file}: {given:?}"))?;
        let mounts = pod["containers"][0]["volumeMounts"].as_array();
        let mount = mounts
            .into_iter()
            .flatten()
            .find(|mount| mount["mountPath"] == folder)
            .with_context(|| format!("nothing is mounted at {folder}"))?;
        let volumes = pod["volumes"].as_array();
        let volume = volumes
            .into_iter()
            .flatten()
            .find(|volume| volume["name"] == mount["name"]);
        assert_eq!(volume.context("no volume")?["secret"]["secretName"], secret);
    }
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
        (
            "scheduler: {replicas: 2, keySecret: key}",
            "two schedulers share a database; set scheduler.store.address",
        ),
        (
            "scheduler: {replicas: 2, store: {address: \"postgres://db/x\"}}",
            "two schedulers have the same key; set scheduler.keySecret",
        ),
        (
            "scheduler: {replicas: 3, keySecret: key, store: {address: \"postgres://db/x\"}}",
            "replicas",
        ),
        ("scheduler: {store: {address: /var/lib}}", "address"),
    ] {
        let refused = chart_tools.render(values).err().context(values)?;
        let refused = format!("{refused:#}");
        assert!(refused.contains(expected), "{values}: {refused}");
    }
    Ok(())
}
