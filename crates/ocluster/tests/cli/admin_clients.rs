//! The admin's commands about clients, and those it runs for each worker, against a real scheduler.

use expect_test::expect;

use crate::admin::check;
use crate::cluster::Cluster;

#[test]
fn clients_come_and_go() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    check(
        &cluster,
        "list-clients",
        "",
        expect![[r#"
        $ ocluster-admin list-clients ./capnp-secrets/admin.cap
        2> No clients.
    "#]],
    );
    let added = cluster.admin("add-client", "alice").success();
    assert!(
        added.stdout.starts_with("capnp://sha-256:"),
        "{}",
        added.stdout
    );
    cluster.place.write("alice.cap", &added.stdout);
    check(
        &cluster,
        "add-client",
        "alice",
        expect![[r#"
        $ ocluster-admin add-client ./capnp-secrets/admin.cap alice
        2> Failed: Client "alice" already registered!
        [exit code 1]
    "#]],
    );
    check(
        &cluster,
        "list-clients",
        "",
        expect![[r#"
        $ ocluster-admin list-clients ./capnp-secrets/admin.cap
        alice
    "#]],
    );

    let line = "ocluster-client -c alice.cap submit-docker --pool linux-x86_64 --local-dockerfile Dockerfile";
    let _job = cluster.place.run(line).success();
    check(
        &cluster,
        "remove-client",
        "alice",
        expect![[r#"
        $ ocluster-admin remove-client ./capnp-secrets/admin.cap alice
    "#]],
    );
    check(
        &cluster,
        "remove-client",
        "alice",
        expect![[r#"
            $ ocluster-admin remove-client ./capnp-secrets/admin.cap alice
            2> Admin.removeClient: Failed: Unknown client "alice"
            2> Hint: there are no clients
            [exit code 1]
        "#]],
    );
    let refused = cluster.place.run(line);
    assert_eq!(refused.code(), 124);
    let unknown = "Unknown persistent service ID";
    assert!(refused.stderr.contains(unknown), "{}", refused.stderr);
}

#[test]
fn clients_have_rates() {
    let cluster = Cluster::start();
    let _added = cluster.admin("add-client", "alice").success();
    check(
        &cluster,
        "set-rate",
        "linux-x86_64 alice 2.5",
        expect![[r#"
            $ ocluster-admin set-rate ./capnp-secrets/admin.cap linux-x86_64 alice 2.5
        "#]],
    );
    check(
        &cluster,
        "set-rate",
        "linux-x86_64 alice -1",
        expect![[r#"
        $ ocluster-admin set-rate ./capnp-secrets/admin.cap linux-x86_64 alice -1
        2> PoolAdmin.setRate: Failed: cannot use rate -1: it must be a finite number above zero
        [exit code 1]
    "#]],
    );
    check(
        &cluster,
        "set-rate",
        "linux-x86_64 nobody 1",
        expect![[r#"
            $ ocluster-admin set-rate ./capnp-secrets/admin.cap linux-x86_64 nobody 1
            2> PoolAdmin.setRate: Failed: No such user
            2> Hint: the clients are: alice
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "set-rate",
        "nowhere alice 1",
        expect![[r#"
            $ ocluster-admin set-rate ./capnp-secrets/admin.cap nowhere alice 1
            2> PoolAdmin.setRate: Failed: No such pool
            2> Hint: the pools are: linux-arm32, linux-x86_64
            [exit code 1]
        "#]],
    );
    cluster.shows("clients: alice(2)");
}

#[test]
fn exec_runs_a_command_for_each_worker() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    let ran = cluster
        .admin("exec", "linux-x86_64 -- echo -n {} ")
        .success();
    let mut names: Vec<char> = ran.stdout.chars().collect();
    names.sort_unstable();
    assert_eq!(String::from_iter(names), "12ww");
    check(
        &cluster,
        "exec",
        "linux-x86_64 false",
        expect![[r#"
            $ ocluster-admin exec ./capnp-secrets/admin.cap linux-x86_64 false
            2> Sub-process failed with exit code 1
            2> Hint: it failed for w1, w2
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "exec",
        "linux-x86_64 no-such-program",
        expect![[r#"
            $ ocluster-admin exec ./capnp-secrets/admin.cap linux-x86_64 no-such-program
            2> cannot run 'no-such-program': No such file or directory (os error 2)
            [exit code 1]
        "#]],
    );
}
