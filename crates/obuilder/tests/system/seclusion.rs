//! What steps do not see of each other, of secrets, and of the network.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use obuilder::sandbox::Runtime;
use tokio::task::spawn_blocking;

use crate::site::{BASE, Kind, Site, block_on, builtin, can_run, runc};

const ENV: [&str; 1] = ["PATH=/usr/bin"];

fn with_each_runtime<F: Future<Output = ()>>(name: &str, story: impl Fn(Site) -> F) {
    let with = |runtime: Runtime, called: &str| {
        let place = format!("{name}-{called}");
        block_on(story(Site::new(Kind::Overlayfs, runtime, &place)));
    };
    if can_run(name) {
        with(runc(), "runc");
        with(builtin(), "builtin");
    }
}

/// Waits for somebody to connect.
async fn accepted(listener: &TcpListener) -> TcpStream {
    let listener = listener.try_clone().unwrap();
    spawn_blocking(move || listener.accept().unwrap().0)
        .await
        .unwrap()
}

#[test]
fn a_secret_is_its_steps_alone() {
    with_each_runtime("a_secret_is_its_steps_alone", secrets);
}

async fn secrets(site: Site) {
    let value = format!("{}", rig::Name::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let builder = site.open_with_host(&ENV);

    // One step has the secret in its hands until it hears from us.
    let holding = format!(
        r#"((from {BASE}) (run (network host) (secrets (password (target /run/secrets/password)))
            (shell "read -r value < /run/secrets/password; exec 3<> /dev/tcp/127.0.0.1/{port}
                    read -r go <&3; echo ${{#value}} $go")))"#
    );
    let (mut context, log) = site.context();
    context.secrets = vec![("password".into(), format!("{value}\n").into())];
    let (spec, same) = (crate::site::parse(&holding), builder.clone());
    let held = tokio::task::spawn_local(async move { same.build(&context, &spec).await.unwrap() });
    let mut step = accepted(&listener).await;

    // Meanwhile another looks for it wherever it can, and so do we among everything that runs on the machine.
    let looking = format!(
        r#"((from {BASE}) (run (shell "cd /proc; cat [0-9]*/environ [0-9]*/cmdline [0-9]*/mountinfo mounts |
            tr '\\0' '\\n';
            ls -A /run; grep -rs {value} /dev/shm /etc /home /root /run /tmp /var; echo end")))"#
    );
    let looking = looking.replace(&value, &value[..value.len() - 1]);
    let (_, seen) = site.built(&builder, &looking).await;
    let seen = seen.output();
    assert!(
        seen.contains("PATH=/usr/bin\n") && seen.ends_with("\nend\n"),
        "{seen}"
    );
    assert!(!seen.contains(&value), "{seen}");
    assert!(!seen.contains("secrets"), "{seen}");
    assert_eq!(rig::traces(&value).unwrap(), Vec::<String>::new());
    step.write_all(b"go\n").unwrap();
    let id = held.await.unwrap();
    assert!(
        log.output().ends_with(&format!("\n{} go\n", value.len())),
        "{}",
        log.text()
    );

    // Nothing of it is left: in the log, the result, the database, what the sandbox keeps.
    assert!(!log.text().contains(&value));
    let view = builder.store().view(&id).await.unwrap();
    let left = Command::new("grep")
        .args(["-rsFl", "--", &value])
        .args([&site.root, view.rootfs()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    drop(view);
    site.close(builder);
}

#[test]
fn the_machines_network_is_for_those_who_ask() {
    with_each_runtime("the_machines_network_is_for_those_who_ask", network);
}

async fn network(site: Site) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let builder = site.open_with_host(&ENV);
    let run = |network: &str, then: &str| {
        format!(
            r#"((from {BASE}) (run {network} (shell "exec 3<> /dev/tcp/127.0.0.1/{port} && {then}")))"#
        )
    };
    let (why, log) = site.refused(&builder, &run("", "echo connected")).await;
    assert!(why.ends_with("failed with exit status 1"), "{why}");
    assert!(
        log.output().contains("Connection refused"),
        "{}",
        log.text()
    );

    let served = async {
        accepted(&listener).await.write_all(b"served\n").unwrap();
    };
    let spec = run("(network host)", "cat <&3");
    let (_, (_, log)) = futures::join!(served, site.built(&builder, &spec));
    assert_eq!(log.output(), "served\n", "{}", log.text());
    site.close(builder);
}
