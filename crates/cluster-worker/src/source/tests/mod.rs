//! Sources from real repositories: their files, the log, and recovery from damage.

mod clones;
mod credentials;
mod damage;
mod large_files;
mod objects;
mod servers;
mod submodules;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cluster_api::{Action, Description, DockerBuild};
use job_rules::{CommitId, GitUrl, SourceRequest};

use super::{CloneLimits, Context, FetchConfig, Sources, git};
use crate::cancel::Cancel;
use crate::outcome::JobError;
use crate::process::{Environment, Processes};
use crate::testing::git::{GitServer, Server, UNAUTHORIZED, WebServer};
use crate::testing::{TestLog, local};

/// A worker's sources.
struct Worker {
    state_dir: tempfile::TempDir,
    sources: Sources,
}

impl Worker {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), CloneLimits::default())
    }

    /// Returns a worker that fetches like this.
    fn with(fetching: FetchConfig) -> Self {
        let mut worker = Self::new();
        worker.sources.fetching = fetching;
        worker
    }

    fn open(state_dir: tempfile::TempDir, limits: CloneLimits) -> Self {
        let environment = Environment::default().with("PATH", "/usr/local/bin:/usr/bin:/bin");
        let sources = Sources::open(
            state_dir.path(),
            limits,
            FetchConfig::default(),
            &environment,
            Processes::new(),
        );
        let sources = sources.unwrap();
        Self { state_dir, sources }
    }

    /// Restarts it with other limits.
    fn restart(self, limits: CloneLimits) -> Self {
        let Self { state_dir, sources } = self;
        drop(sources);
        Self::open(state_dir, limits)
    }

    /// Returns the names of the repositories with clones.
    fn clones(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state_dir.path().join("git")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .map(|name| name.split('-').next().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Sets the last use of a repository's clone to some days ago.
    fn age(&self, name: &str, days: u64) {
        let entries = fs::read_dir(self.state_dir.path().join("git")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_it = |path: &Path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(name)
        };
        let clone = paths.into_iter().find(|path| is_it(path)).unwrap();
        let file = fs::File::open(clone.join(".git/ocluster-last-use")).unwrap();
        let age = Duration::from_secs(days * 24 * 60 * 60);
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    /// Checks out, and returns the source (or why not) and the log.
    async fn check_out(&self, request: &SourceRequest) -> (Result<Context, JobError>, String) {
        let test = TestLog::new();
        let result = self
            .sources
            .check_out(Some(request), &test.log, &Cancel::new())
            .await;
        let state_dir = self.state_dir.path().to_str().unwrap();
        (result, test.text().replace(state_dir, "STATE"))
    }

    /// Returns the directory of the only clone.
    fn clone_dir(&self) -> std::path::PathBuf {
        fs::read_dir(self.state_dir.path().join("git"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }
}

fn request(url: &str, commits: &[&str]) -> SourceRequest {
    let mut job = Description::new(Action::Docker(DockerBuild::default()));
    job.repository = url.to_owned();
    job.commits = commits.iter().map(|&id| id.to_owned()).collect();
    SourceRequest::of(&job, false).unwrap().unwrap()
}

/// Returns the files of a source with their contents, one per line.
fn files(context: &Context) -> String {
    let mut lines: Vec<_> = fs::read_dir(context.path())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            format!(
                "{name}: {}\n",
                fs::read_to_string(&path).unwrap_or_else(|_| "(directory)".into())
            )
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[test]
fn a_commit_is_fetched_once() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let one = project.commit("hello", "one");
        let two = project.commit("hello", "two");

        // The first job clones.
        let request_one = request(&server.url("project"), &[&one.to_uppercase()]);
        let (source, log) = worker.check_out(&request_one).await;
        let source = source.unwrap();
        assert_eq!(files(&source), "hello: one\n");
        assert!(
            log.starts_with("Initialized empty Git repository in STATE/git/project-"),
            "{log}"
        );
        assert!(
            log.ends_with(&format!("HEAD is now at {} a commit\n", &one[..7])),
            "{log}"
        );

        // The second finds everything in the clone, and does not disturb the first.
        let (other, log) = worker
            .check_out(&request(&server.url("project"), &[&two]))
            .await;
        assert_eq!(files(&other.unwrap()), "hello: two\n");
        assert_eq!(
            log,
            format!(
                "All commits already cached\nHEAD is now at {} a commit\n",
                &two[..7]
            )
        );
        assert_eq!(files(&source), "hello: one\n");

        // A third needs something new.
        let three = project.commit("hello", "three");
        let (third, _) = worker
            .check_out(&request(&server.url("project"), &[&three]))
            .await;
        assert_eq!(files(&third.unwrap()), "hello: three\n");

        let path = source.path().to_owned();
        source.remove().await;
        assert!(!path.exists());
    });
}

#[test]
fn several_commits_are_merged() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let base = project.commit("base", "0");
        let main = project.commit("a", "main");
        project.git(&["checkout", "-q", "-b", "side", &base]);
        let side = project.commit("b", "side");
        project.git(&["checkout", "-q", "-b", "rival", &base]);
        let rival = project.commit("a", "rival");
        let url = server.url("project");

        let (source, log) = worker.check_out(&request(&url, &[&main, &side])).await;
        assert_eq!(files(&source.unwrap()), "a: main\nb: side\nbase: 0\n");
        assert!(log.contains("Merge made by"), "{log}");

        let (conflict, log) = worker.check_out(&request(&url, &[&main, &rival])).await;
        assert_eq!(
            conflict.unwrap_err().to_string(),
            "git-merge failed with exit-code 1"
        );
        assert!(
            log.contains("CONFLICT (add/add): Merge conflict in a\n"),
            "{log}"
        );

        // A conflict does not affect the next job.
        let (source, _) = worker.check_out(&request(&url, &[&rival])).await;
        assert_eq!(files(&source.unwrap()), "a: rival\nbase: 0\n");
    });
}

#[test]
fn a_missing_commit_is_an_error() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let commit = server.repository("project").commit("hello", "one");
        let (source, _) = worker
            .check_out(&request(&server.url("project"), &[&commit]))
            .await;
        source.unwrap();
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&"ab".repeat(20)]))
            .await;
        assert_eq!(
            source.unwrap_err().to_string(),
            format!(
                "cannot find commit {} in {}: no branch or pull request contains it, and the server does not serve it \
                 by its id; check the id and the URL, and that the commit was pushed",
                "ab".repeat(20),
                server.url("project")
            )
        );
        assert!(
            !log.contains("Removing"),
            "the clone is not at fault: {log}"
        );
    });
}

#[test]
fn a_server_that_is_down_does_not_invalidate_the_clone() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let commit = project.commit("hello", "one");
        let known = request(&server.url("project"), &[&commit]);
        worker.check_out(&known).await.0.unwrap();
        fs::rename(&project.path, server.dir.path().join("elsewhere")).unwrap();
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&"ab".repeat(20)]))
            .await;
        assert_eq!(
            source.unwrap_err().to_string(),
            "git-fetch failed with exit-code 128"
        );
        assert!(!log.contains("Removing"), "{log}");
        worker.check_out(&known).await.0.unwrap();
    });
}

#[test]
fn cancelling_interrupts_git() {
    local(async {
        let worker = Worker::new();
        // A server that never answers.
        let mut held = Vec::new();
        let server = Server::start(move |connection| held.push(connection));
        let job = request(&format!("git://{}/x", server.address), &[&"ab".repeat(20)]);
        let test = TestLog::new();
        let cancel = Cancel::new();
        let cancelled = async {
            while test.log.length() == 0 {
                tokio::task::yield_now().await;
            }
            // A job that waits for the same clone can be cancelled, too.
            let own = Cancel::new();
            let queued = worker.sources.check_out(Some(&job), &test.log, &own);
            let (queued, ()) = tokio::join!(queued, async { own.cancel() });
            assert_eq!(queued.unwrap_err(), JobError::Cancelled);
            cancel.cancel();
        };
        let (source, ()) = tokio::join!(
            worker.sources.check_out(Some(&job), &test.log, &cancel),
            cancelled
        );
        assert_eq!(source.unwrap_err(), JobError::Cancelled);
    });
}

#[test]
fn jobs_share_a_clone_one_after_the_other() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let jobs: Vec<_> = (0..4)
            .map(|i| {
                request(
                    &server.url("project"),
                    &[&project.commit("hello", &i.to_string())],
                )
            })
            .collect();
        let sources = futures::future::join_all(jobs.iter().map(|job| worker.check_out(job))).await;
        for (i, (source, log)) in sources.into_iter().enumerate() {
            assert_eq!(files(&source.unwrap()), format!("hello: {i}\n"), "{log}");
        }
        assert!(worker.sources.clones.locks() <= 1);
    });
}

#[test]
fn without_commits_the_source_is_empty() {
    local(async {
        let worker = Worker::new();
        let test = TestLog::new();
        let source = worker
            .sources
            .check_out(None, &test.log, &Cancel::new())
            .await
            .unwrap();
        assert_eq!(
            (files(&source), test.text()),
            (String::new(), String::new())
        );
    });
}
