//! Starting, stopping and starting again: what is on disk means what it meant before, also to upstream.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cluster_api::{Admin, Submission};
use cluster_scheduler::{
    FileName, KeySource, Scheduler, SchedulerConfig, StartError, StateDirError,
};
use testkit::{
    BuildOutcome, Connected, MockBuilder, MockWorker, Site, Transcript, config_in, docker,
    follow_ticket, story,
};
use vat::{SturdyRef, cap_file};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

fn names(names: &[&str]) -> Vec<FileName> {
    names
        .iter()
        .map(|name| FileName::new(*name).unwrap())
        .collect()
}

/// Returns the configuration of the scheduler that wrote the vectors, and puts its files in place.
fn vectors_in(directory: &Path) -> SchedulerConfig {
    let mut config = config_in(directory);
    config.public = Some("tcp:127.0.0.1:9410".parse().unwrap());
    config.pools = names(&["a", "b"]).into_iter().collect();
    std::fs::create_dir(&config.state_dir).unwrap();
    for (from, to) in [
        ("key.pem", &config.secrets_dir),
        ("scheduler.db", &config.state_dir),
    ] {
        std::fs::copy(Path::new(VECTORS).join(from), to.join(from)).unwrap();
    }
    config
}

/// Returns `cap` as it would be if the scheduler were public where it listens.
fn here(site: &Site, cap: &SturdyRef) -> SturdyRef {
    SturdyRef {
        address: site.scheduler().address().clone(),
        ..cap.clone()
    }
}

#[test]
fn upstreams_key_and_database() {
    story(async {
        let directory = tempfile::tempdir().unwrap();
        let config = vectors_in(directory.path());
        let site = Site::start_in(directory, config).await;
        for file in ["admin.cap", "pool-a.cap", "pool-b.cap"] {
            let ours = std::fs::read(site.secrets().join(file)).unwrap();
            assert_eq!(
                ours,
                std::fs::read(Path::new(VECTORS).join(file)).unwrap(),
                "{file}"
            );
        }

        let admin = site.connect(&here(&site, &site.cap("admin.cap"))).await;
        let admin = Admin::from_client(admin.client);
        assert_eq!(admin.list_clients().await.unwrap(), ["alice", "bob"]);
        let a = admin.pool("a");
        let b = admin.pool("b");
        assert_eq!(
            a.show().await.unwrap(),
            "capacity: 0\nqueue: (backlog) []\nregistered:\n\
             disconnected:\n  w-paused (paused)\n  w1\n  w3\nclients: \n"
        );
        assert!(b.show().await.unwrap().contains("  w2 (paused)\n  w4\n"));

        // Both clients can submit with what they were given years ago, at their old rates.
        let mut held = Vec::new();
        for (client, pool) in [("alice", "a"), ("alice", "b"), ("bob", "a")] {
            let cap = cap_file::load(format!("{VECTORS}/client-{client}.cap")).unwrap();
            let connected = site.connect(&here(&site, &cap)).await;
            let client = Submission::from_client(connected.client);
            assert_eq!(client.save().await.unwrap(), cap.to_uri());
            held.push(
                client
                    .submit(pool, &docker("example"), false)
                    .await
                    .unwrap(),
            );
        }
        // No worker has the hint "1": ten minutes at alice's 2.5 are four. Bob's job has it cached by then.
        let state = a.show().await.unwrap();
        assert!(
            state.ends_with("clients: alice(2)+4m bob(1)+10s\n"),
            "{state}"
        );
        assert!(b.show().await.unwrap().ends_with("clients: alice(4)+2m\n"));
    });
}

#[test]
fn upstreams_hints_are_remembered() {
    story(async {
        let directory = tempfile::tempdir().unwrap();
        let config = vectors_in(directory.path());
        let site = Site::start_in(directory, config).await;
        let builder = MockBuilder::new();
        let pool = here(&site, &site.cap("pool-a.cap"));
        // All wait for work; w2 would be next, but w1 has the hint.
        let _workers = [
            MockWorker::start_in(&pool, "w2", 1, &builder).await,
            MockWorker::start_in(&pool, "w1", 1, &builder).await,
            MockWorker::start_in(&pool, "w4", 1, &builder).await,
        ];
        let cap = cap_file::load(format!("{VECTORS}/client-bob.cap")).unwrap();
        let connected = site.connect(&here(&site, &cap)).await;
        let client = Submission::from_client(connected.client);
        builder.end("example", BuildOutcome::Succeeded(""));
        let description = testkit::docker_with_hint("example", "hint-2");
        let ticket = client.submit("a", &description, false).await.unwrap();
        let log = "Building on w1\nBuilding example\nJob succeeded\n";
        assert_eq!(follow_ticket(&ticket).await, Transcript::new(log, Ok("")));
    });
}

#[test]
fn a_restart_forgets_nothing() {
    story(async {
        let mut site = Site::start().await;
        let alice = site.client_cap("alice").await;
        let (pool, connected) = site.pool_admin().await;
        pool.set_rate("alice", 3.0).await.unwrap();
        pool.set_active("w1", false, true).await.unwrap();
        drop((pool, connected));
        let before = site.show().await;
        let caps: Vec<_> = site.scheduler().cap_files();
        let contents: Vec<_> = caps
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();

        // With a port of its own, as only the port would be different otherwise.
        site.config.listen = site.scheduler().address().clone();
        site.restart().await;

        assert!(before.contains("w1 (paused)"), "{before}");
        assert!(site.show().await.contains("disconnected:\n  w1 (paused)\n"));
        let contents_now: Vec<_> = caps
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        assert_eq!(contents, contents_now);
        let connected = site.connect(&alice).await;
        let client = Submission::from_client(connected.client.clone());
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        assert!(
            site.show().await.ends_with("clients: alice(3)+3m\n"),
            "{}",
            site.show().await
        );

        drop((ticket, client, connected));
        let (pool, _connected) = site.pool_admin().await;
        pool.forget("w1").await.unwrap();
    });
}

#[test]
fn default_clients() {
    story(async {
        let mut site = Site::start_with(|config| {
            config.default_clients = names(&["alice", "bob"]);
        })
        .await;
        let alice = site.cap("submit-alice.cap");
        let bob = site.cap("submit-bob.cap");
        site.connect(&alice).await;

        // What is there stays, and what is missing is made anew.
        site.config.listen = site.scheduler().address().clone();
        std::fs::remove_file(site.secrets().join("submit-bob.cap")).unwrap();
        site.restart().await;
        assert_eq!(site.cap("submit-alice.cap"), alice);
        let new_bob = site.cap("submit-bob.cap");
        assert_ne!(new_bob, bob);
        site.connect(&alice).await;
        site.connect(&new_bob).await;
        let refused = Connected::to(&bob)
            .await
            .err()
            .expect("the old secret still works");
        assert!(
            refused
                .to_string()
                .contains("Unknown persistent service ID"),
            "{refused}"
        );
        site.expect_warning("Client \"bob\" exists, but");
        // Twice, now and below.
        site.expect_warning("asks for a service that does not exist");
        site.expect_warning("asks for a service that does not exist");

        site.restart().await;
        assert_eq!(site.cap("submit-bob.cap"), new_bob);
        site.connect(&new_bob).await;
        Connected::to(&bob)
            .await
            .err()
            .expect("the old secret works again");

        let (admin, _connected) = site.admin().await;
        assert_eq!(admin.list_clients().await.unwrap(), ["alice", "bob"]);
        site.finish().await;
    });
}

#[test]
fn the_shared_endpoint() {
    story(async {
        let site = Site::start().await;
        let connected = site.connect(&site.cap("submission.cap")).await;
        let client = Submission::from_client(connected.client.clone());
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        assert!(
            site.show().await.contains("[submission:1@"),
            "{}",
            site.show().await
        );
        assert_eq!(
            client.save().await.unwrap(),
            site.cap("submission.cap").to_uri()
        );

        let (admin, _connected) = site.admin().await;
        assert_eq!(admin.list_clients().await.unwrap(), Vec::<String>::new());
        let taken = admin.add_client("submission").await.unwrap_err();
        assert_eq!(taken.reason, "Client \"submission\" already registered!");
        admin
            .pool("pool")
            .set_rate("submission", 2.0)
            .await
            .unwrap();
        drop(ticket);
        site.finish().await;
    });
}

#[test]
fn what_is_logged_and_written() {
    story(async {
        let site = Site::start_with(|config| {
            config.pools = names(&["linux-x86_64", "linux-arm32"])
                .into_iter()
                .collect();
            config.default_clients = names(&["carol"]);
        })
        .await;
        let secrets = site.secrets();
        let wrote = |file: &str| {
            format!(
                "INFO application: Wrote capability reference to {:?}",
                secrets.join(file)
            )
        };
        let expected = [
            format!(
                "INFO capnp-rpc: Generating new secret key to store in {:?}",
                secrets.join("key.pem")
            ),
            "INFO capnp-rpc: Generating new private key...".to_owned(),
            format!(
                "INFO capnp-rpc: Generated key with hash sha-256@{}",
                match site.cap("admin.cap").auth {
                    vat::Auth::Sha256(fingerprint) => fingerprint.to_string(),
                    vat::Auth::Insecure => panic!("no TLS"),
                }
            ),
            format!(
                "INFO capnp-rpc: Waiting for (encrypted) connections on {}",
                site.scheduler().address()
            ),
            "INFO scheduler: Created new submission endpoint for client \"carol\"".to_owned(),
            wrote("submit-carol.cap"),
            wrote("submission.cap"),
            wrote("admin.cap"),
            wrote("pool-linux-arm32.cap"),
            wrote("pool-linux-x86_64.cap"),
        ];
        let text = site.logs.text();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines, expected);
        for path in site.scheduler().cap_files() {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path:?}");
            let secret = std::fs::read_to_string(&path).unwrap();
            let id = secret.trim().rsplit_once('/').unwrap().1;
            assert!(
                !site.logs.contains(id),
                "the secret of {path:?} is in the log"
            );
        }
    });
}

/// Starting with `adjust` must fail, and must not have made or changed anything.
async fn refused(adjust: impl FnOnce(&mut SchedulerConfig)) -> StartError {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config_in(directory.path());
    adjust(&mut config);
    let (secrets, state) = (config.secrets_dir.clone(), config.state_dir.clone());
    let had_state = state.exists();
    let error = Scheduler::start(config).await.err().expect("it started");
    if secrets.exists() {
        assert_eq!(
            std::fs::read_dir(secrets).unwrap().count(),
            0,
            "something was written"
        );
    }
    assert_eq!(state.exists(), had_state, "something was written");
    error
}

#[test]
fn refused_before_anything_is_written() {
    story(async {
        let no_pools = refused(|config| config.pools.clear()).await;
        assert!(matches!(no_pools, StartError::NoPools));

        let no_secrets = refused(|config| config.secrets_dir = "/nonexistent/secrets".into()).await;
        assert!(matches!(no_secrets, StartError::NoSecretsDir(_)));

        let foreign = refused(|config| {
            std::fs::create_dir(&config.state_dir).unwrap();
            std::fs::write(
                config.state_dir.join("scheduler.db"),
                "not a database at all",
            )
            .unwrap();
        })
        .await;
        assert!(matches!(foreign, StartError::Database(_)), "{foreign}");
    });
}

#[test]
fn one_scheduler_for_a_state_directory() {
    story(async {
        let site = Site::start().await;
        let directory = tempfile::tempdir().unwrap();
        let mut second = config_in(directory.path());
        second.state_dir = site.config.state_dir.clone();
        let error = Scheduler::start(second).await.err().expect("it started");
        assert!(
            matches!(error, StartError::StateDir(StateDirError::InUse { .. })),
            "{error}"
        );
        site.finish().await;
    });
}

#[test]
fn an_ephemeral_key() {
    story(async {
        let mut site = Site::start_with(|config| config.key = KeySource::Ephemeral).await;
        let before = site.cap("admin.cap");
        site.admin().await;
        site.restart().await;
        assert_ne!(site.cap("admin.cap").auth, before.auth);
        site.admin().await;
        site.finish().await;
    });
}

#[test]
fn services_of_an_unknown_type() {
    story(async {
        let directory = tempfile::tempdir().unwrap();
        let config = vectors_in(directory.path());
        let database = config.state_dir.join("scheduler.db");
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection
            .execute(
                "UPDATE sturdy_refs SET type = 'weather-report' WHERE args = x'626f62'",
                [],
            )
            .unwrap();
        drop(connection);
        let site = Site::start_in(directory, config).await;
        let bob = cap_file::load(format!("{VECTORS}/client-bob.cap")).unwrap();
        let error = Connected::to(&here(&site, &bob))
            .await
            .err()
            .expect("it was served");
        assert!(
            error
                .to_string()
                .contains("services of type \"weather-report\""),
            "{error}"
        );

        let admin = site.connect(&here(&site, &site.cap("admin.cap"))).await;
        let admin = Admin::from_client(admin.client);
        assert_eq!(admin.list_clients().await.unwrap(), ["alice"]);
        drop((admin, site));
        let connection = rusqlite::Connection::open(&database);
        drop(connection);
    });
}
