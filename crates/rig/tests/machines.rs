//! The machines work: an engine builds, a registry requires a password, git servers serve repositories.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{
    Credentials, DEMO_PACKAGES, DockerEngine, GitServer, Holder, Name, Registry, Repository, Setup,
    TEST_PACKAGES, checked, import_busybox, import_host, output_within, report_not_run,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns whether this machine can run `test`; if not, that is reported.
fn can_run(test: &str) -> bool {
    let missing = Setup::missing(&[DEMO_PACKAGES, TEST_PACKAGES].concat());
    if !rustix::process::geteuid().is_root() || !missing.is_empty() {
        report_not_run(test, "root and Debian packages: use `cargo xtask test`");
        return false;
    }
    true
}

fn clone(url: &str, into: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    checked(git.args(["clone", "--quiet", url]).arg(into)).map(drop)
}

#[test]
fn an_engine_builds_with_and_without_buildkit_and_pushes_with_a_password() -> Result<()> {
    if !can_run("an_engine_builds_with_and_without_buildkit_and_pushes_with_a_password") {
        return Ok(());
    }
    let engine = DockerEngine::own()?;
    let base = import_busybox(&engine, "busybox")?;
    let context = tempfile::tempdir()?;
    let dockerfile = format!("FROM {}\nRUN wc -c < /bin/busybox > /size\n", base.name());
    std::fs::write(context.path().join("Dockerfile"), dockerfile)?;
    let folder = context.path().display().to_string();
    for buildkit in ["0", "1"] {
        let mut build = engine.command();
        build.env("DOCKER_BUILDKIT", buildkit);
        let id = checked(build.args(["build", "--quiet", "--squash", "--no-cache", &folder]))?;
        let size = engine.run(&["run", "--rm", &id, "cat", "/size"])?;
        assert_eq!(
            size.parse::<u64>()?,
            std::fs::metadata("/bin/busybox")?.len()
        );
    }

    let registry = Registry::start()?;
    let access = registry.access();
    engine.reach(engine.holder(), access.port()?)?;
    let image = access.image("base:1");
    engine.run(&["tag", base.name(), &image])?;
    let refused = output_within(engine.command().args(["push", &image]), LIMIT)?;
    let why = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success() && why.contains("no basic auth credentials"),
        "{why}"
    );
    let login = [
        "login",
        "-u",
        &access.user,
        "-p",
        &access.password,
        &access.address,
    ];
    engine.run(&login)?;
    engine.run(&["push", "--quiet", &image])?;
    engine.run(&["image", "rm", &image])?;
    engine.run(&["pull", "--quiet", &image])?;
    engine.finish()
}

/// A running engine sets the forwarding policy of the whole machine to drop. So do many firewalls.
#[test]
fn containers_reach_each_other_although_the_machine_forwards_nothing() -> Result<()> {
    let test = "containers_reach_each_other_although_the_machine_forwards_nothing";
    if !can_run(test) {
        return Ok(());
    }
    // In a network namespace of its own, as the rules must not affect this machine.
    let name = Name::new()?;
    let holder = Holder::start(&name)?;
    holder.undo(&["ip", "netns", "del", name.as_str()])?;
    checked(Command::new("ip").args(["netns", "add", name.as_str()]))?;
    let namespace = File::open(format!("/run/netns/{name}"))?;
    // This applies to this thread and the processes it starts.
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    for family in ["bridge", "inet"] {
        checked(Command::new("nft").args(["add", "table", family, "f"]))?;
        let chain = "{ type filter hook forward priority 0; policy drop; }";
        checked(Command::new("nft").args(["add", "chain", family, "f", "f", chain]))?;
    }

    let engine = DockerEngine::own()?;
    let base = import_busybox(&engine, "busybox")?;
    engine.run(&["network", "create", "shared"])?;
    let serve = "echo hello > /index.html; exec httpd -f -p 80";
    let run = ["run", "--detach", "--network=shared", "--name=server"];
    engine.run(&[&run[..], &[base.name(), "sh", "-c", serve]].concat())?;
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = engine.run(&["inspect", "--format", format, "server"])?;
    // A static busybox cannot be the client: it needs libraries to look up addresses.
    import_host(&engine, "host")?;
    let ask =
        format!("exec 3<>/dev/tcp/{address}/80 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3");
    let again = "for n in $(seq 10); do bash -c \"$0\" && exit; sleep 0.1; done; exit 1";
    let run = ["run", "--rm", "--network=shared", "host", "bash", "-c"];
    let answer = engine.run(&[&run[..], &[again, &ask]].concat())?;
    ensure!(answer.ends_with("hello"), "{answer}");
    engine.finish()?;
    holder.finish()
}

#[test]
fn repositories_are_served_over_http_and_git() -> Result<()> {
    let base = tempfile::tempdir()?;
    let repository = Repository::create(base.path(), "project")?;
    // Large enough that git sends it in chunks.
    let noise: String = (0..400_000u64)
        .map(|n| (n * n % 9973).to_string())
        .collect();
    let first = repository.commit(&[("a", "1\n"), ("docs/noise", &noise)])?;
    let second = repository.commit(&[("a", "2\n")])?;
    assert_ne!(first, second);

    let open = GitServer::http(base.path())?;
    let daemon = GitServer::daemon(base.path())?;
    let credentials = Credentials {
        user: "ada".into(),
        password: "enchantress".into(),
    };
    let closed = GitServer::http_with_password(base.path(), credentials)?;
    for url in [
        open.url("project"),
        daemon.url("project"),
        closed.url_with_password("project"),
    ] {
        let into = tempfile::tempdir()?;
        clone(&url, into.path())?;
        assert_eq!(
            std::fs::read_to_string(into.path().join("a"))?,
            "2\n",
            "{url}"
        );
        assert_eq!(
            std::fs::read_to_string(into.path().join("docs/noise"))?,
            noise,
            "{url}"
        );
    }
    let refused = clone(&closed.url("project"), &base.path().join("refused")).unwrap_err();
    assert!(
        refused.to_string().contains("could not read Username"),
        "{refused}"
    );
    let missing = clone(&open.url("missing"), &base.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("not found"), "{missing}");
    Ok(())
}

#[test]
fn repositories_have_conflicts_and_submodules() -> Result<()> {
    let base = tempfile::tempdir()?;
    let server = GitServer::http(base.path())?;
    let part = Repository::create(base.path(), "part")?;
    part.commit(&[("part", "a part\n")])?;
    let whole = Repository::create(base.path(), "whole")?;
    whole.commit(&[("file", "base\n")])?;
    whole.add_submodule(&server.url("part"), "parts/one")?;
    let [left, right] = whole.conflict("file")?;

    let into = tempfile::tempdir()?;
    let clone = |args: &[&str]| checked(Command::new("git").current_dir(into.path()).args(args));
    clone(&[
        "clone",
        "--quiet",
        "--recurse-submodules",
        &server.url("whole"),
        ".",
    ])?;
    assert_eq!(
        std::fs::read_to_string(into.path().join("parts/one/part"))?,
        "a part\n"
    );
    clone(&["checkout", "--quiet", &left])?;
    let merge = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
        "merge",
        &right,
    ];
    clone(&merge).unwrap_err();
    assert!(
        clone(&["status", "--short"])?.contains("AA file")
            || clone(&["status", "--short"])?.contains("UU file")
    );
    Ok(())
}
