//! Submodules, and their kept clones.

use super::*;

/// A project with a submodule on another server, and a worker with clones of both.
struct Submodule {
    projects: GitServer,
    libraries: GitServer,
    worker: Worker,
    /// A commit without the submodule.
    plain: String,
    /// A commit with the submodule. The worker has built these two.
    old: String,
    /// A commit that needs a commit of the submodule that the worker does not have.
    new: String,
}

impl Submodule {
    async fn new(limits: FetchConfig) -> Self {
        let (projects, libraries) = (GitServer::new(), GitServer::new());
        let library = libraries.repository("library");
        library.commit("lib", "v1");
        let project = projects.repository("project");
        let plain = project.commit("hello", "one");
        let old = project.add_submodule(&libraries.url("library"), "sub");
        let worker = Worker::with(limits);
        for commit in [&plain, &old] {
            let job = request(&projects.url("project"), &[commit]);
            let (source, log) = worker.check_out(&job).await;
            source.unwrap_or_else(|error| panic!("{error}: {log}"));
        }
        library.commit("lib", "v2");
        let new = project.update_submodules();
        Self {
            projects,
            libraries,
            worker,
            plain,
            old,
            new,
        }
    }

    fn request(&self, commit: &str) -> SourceRequest {
        request(&self.projects.url("project"), &[commit])
    }
}

fn library(source: &Context) -> String {
    fs::read_to_string(source.path().join("sub/lib")).unwrap()
}

/// Neither does cleaning up after a job that has waited for it.
#[test]
fn a_submodules_server_that_never_answers_does_not_block_other_jobs() {
    local(async {
        let test = Submodule::new(FetchConfig::default()).await;
        test.libraries.freeze();
        let (log, cancel) = (TestLog::new(), Cancel::new());
        let job = test.request(&test.new);
        let waiting = test.worker.sources.check_out(Some(&job), &log.log, &cancel);
        let others = async {
            while !log.text().contains("Submodule 'sub'") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for turn in ["while it waits", "after it was cancelled"] {
                let (source, log) = test.worker.check_out(&test.request(&test.plain)).await;
                assert_eq!(files(&source.unwrap()), "hello: one\n", "{turn}: {log}");
                let (source, log) = test.worker.check_out(&test.request(&test.old)).await;
                assert_eq!(library(&source.unwrap()), "v1", "{turn}: {log}");
                cancel.cancel();
            }
        };
        let (source, ()) = tokio::join!(waiting, others);
        assert_eq!(source.unwrap_err(), JobError::Cancelled);
    });
}

#[test]
fn waiting_for_a_submodules_server_that_never_answers_ends() {
    local(async {
        let limits = FetchConfig {
            silence: Some(Duration::from_secs(2)),
            total: None,
            ..FetchConfig::default()
        };
        let test = Submodule::new(limits).await;
        test.libraries.freeze();
        let (source, log) = test.worker.check_out(&test.request(&test.new)).await;
        assert_eq!(
            source.unwrap_err().to_string(),
            format!(
                "cannot fetch the submodules of {}: nothing arrived for --git-silence-timeout=2 seconds; check that \
                 its server answers, and submit the job again",
                test.projects.url("project")
            ),
            "{log}"
        );
    });
}

/// If a commit changes the library's URL, the job uses the new one.
#[test]
fn a_submodule_that_has_moved_is_fetched_from_its_new_url() {
    local(async {
        let test = Submodule::new(FetchConfig::default()).await;
        let moved = GitServer::new();
        fs::rename(
            test.libraries.dir.path().join("library"),
            moved.dir.path().join("library"),
        )
        .unwrap();
        test.libraries.freeze();
        let project = crate::testing::git::Repository {
            path: test.projects.dir.path().join("project"),
        };
        project.git(&[
            "submodule",
            "--quiet",
            "set-url",
            "sub",
            &moved.url("library"),
        ]);
        let commit = project.commit_all();
        let (source, log) = test.worker.check_out(&test.request(&commit)).await;
        assert_eq!(library(&source.unwrap()), "v2", "{log}");
        // The clone was kept.
        moved.freeze();
        let (source, log) = test.worker.check_out(&test.request(&commit)).await;
        assert_eq!(library(&source.unwrap()), "v2", "{log}");
    });
}

#[test]
fn the_source_includes_submodules_and_git() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let library = server.repository("library");
        library.commit("lib", "v1");
        let project = server.repository("project");
        project.commit("hello", "one");
        let commit = project.add_submodule("../library", "sub");
        let mut job = request(&server.url("project"), &[&commit]);
        job.include_git = true;
        for _ in 0..2 {
            let (source, log) = worker.check_out(&job).await;
            let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
            assert_eq!(
                fs::read_to_string(source.path().join("sub/lib")).unwrap(),
                "v1"
            );
            let copy = crate::testing::git::Repository {
                path: source.path().to_owned(),
            };
            assert_eq!(copy.git(&["status", "--porcelain"]), "");
            assert_eq!(
                copy.git(&["fsck", "--connectivity-only", "--no-dangling"]),
                ""
            );
            assert!(!source.path().join(".git/objects/info/alternates").exists());
            assert_eq!(
                copy.git(&["config", "--get-all", "remote.origin.fetch"]),
                "+refs/heads/*:refs/remotes/origin/*"
            );
        }
        // An update of the library, and then a job without it.
        library.commit("lib", "v2");
        let newer = project.update_submodules();
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&newer]))
            .await;
        let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert_eq!(
            fs::read_to_string(source.path().join("sub/lib")).unwrap(),
            "v2"
        );
        // And no submodule has a `.git` file that leads nowhere.
        for git in [".git", "sub/.git"] {
            assert!(!source.path().join(git).exists(), "{git}");
        }
        let first = project.git(&["rev-parse", "HEAD~2"]);
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&first]))
            .await;
        assert_eq!(
            files(&source.unwrap_or_else(|error| panic!("{error}: {log}"))),
            "hello: one\n"
        );
    });
}

#[test]
fn submodules_from_the_workers_own_disk_are_refused() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let private = server.repository("private");
        private.commit("secret", "key");
        let project = server.repository("project");
        project.commit("hello", "one");
        let path = private.path.to_str().unwrap();
        let commit = project.add_submodule(path, "sub");
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&commit]))
            .await;
        assert_eq!(
            source.unwrap_err().to_string(),
            "git-submodule-update failed with exit-code 1"
        );
        assert!(log.contains("fatal: transport 'file' not allowed"), "{log}");
    });
}
