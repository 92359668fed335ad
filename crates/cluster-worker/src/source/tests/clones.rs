//! The clones that are kept.

use super::*;

#[test]
fn no_clone_is_kept_of_a_repository_that_cannot_be_fetched() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let job = request(&server.url("nosuch"), &[&"ab".repeat(20)]);
        let (source, _) = worker.check_out(&job).await;
        assert_eq!(
            source.unwrap_err().to_string(),
            "git-fetch failed with exit-code 128"
        );
        assert_eq!(worker.clones(), [""; 0]);
    });
}

#[test]
fn clones_are_kept_within_limits() {
    local(async {
        let (server, mut worker) = (GitServer::new(), Worker::new());
        for name in ["old", "older", "new"] {
            let commit = server.repository(name).commit("hello", "one");
            let (source, _) = worker
                .check_out(&request(&server.url(name), &[&commit]))
                .await;
            source.unwrap();
        }
        worker.age("old", 10);
        worker.age("older", 40);
        worker.sources.prune().await;
        assert_eq!(worker.clones(), ["new", "old"]);

        // Each takes about 100 KB.
        worker = worker.restart(CloneLimits {
            size: 1000,
            ..CloneLimits::default()
        });
        let clone = worker.state_dir.path().join("git").join(git::clone_dir(
            Path::new(""),
            &GitUrl::parse(&server.url("old")).unwrap(),
            &CommitId::parse(&"ab".repeat(20)).unwrap(),
        ));
        let in_use = worker.sources.clones.lock(&clone);
        worker.sources.prune().await;
        assert_eq!(worker.clones(), ["old"]);
        drop(in_use);
        worker.sources.prune().await;
        assert_eq!(worker.clones(), [""; 0]);
    });
}

#[test]
fn unfinished_clones_of_a_killed_worker_are_removed() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let commit = server.repository("project").commit("hello", "one");
        let job = request(&server.url("project"), &[&commit]);
        worker.check_out(&job).await.0.unwrap();
        let git = worker.state_dir.path().join("git");
        let digest = "0123456789".repeat(4);
        for left in [
            format!(".removing-x-{digest}/x"),
            format!("y-{digest}/.git"),
            "mine".into(),
        ] {
            fs::create_dir_all(git.join(left)).unwrap();
        }
        let worker = worker.restart(CloneLimits::default());
        assert_eq!(worker.clones(), ["mine", "project"]);
    });
}

#[test]
fn leftovers_that_cannot_be_removed_do_not_prevent_a_start() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let worker = Worker::new();
    let state = worker.state_dir.path();
    let stuck = [
        state.join("tmp/build-context-x"),
        state.join("git/.removing-x"),
    ];
    let immutable = |path: &Path, set| {
        let dir = fs::File::open(path).unwrap();
        let flags = ioctl_getflags(&dir)?;
        ioctl_setflags(
            &dir,
            if set {
                flags | IFlags::IMMUTABLE
            } else {
                flags - IFlags::IMMUTABLE
            },
        )
    };
    for dir in &stuck {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        if immutable(dir, true).is_err() {
            // This needs root, and not all file systems support it.
            return;
        }
    }
    let worker = worker.restart(CloneLimits::default());
    for dir in &stuck {
        assert!(dir.join("file").exists());
        immutable(dir, false).unwrap();
    }
    let worker = worker.restart(CloneLimits::default());
    assert!(stuck.iter().all(|dir| !dir.exists()));
    drop(worker);
}
