//! Damaged clones, and clones in which git was killed.

use expect_test::{Expect, expect};

use super::*;

/// Checks that a job can use a clone after some damage.
fn after_damage(damage: impl FnOnce(&Path), expected: Expect) {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let commit = server.repository("project").commit("hello", "one");
        let job = request(&server.url("project"), &[&commit]);
        worker.check_out(&job).await.0.unwrap();
        damage(&worker.clone_dir().join(".git"));
        let (source, log) = worker.check_out(&job).await;
        assert_eq!(files(&source.unwrap()), "hello: one\n");
        let hash = worker
            .clone_dir()
            .to_str()
            .unwrap()
            .rsplit_once('-')
            .unwrap()
            .1
            .to_owned();
        let log = log
            .replace(&hash, "HASH")
            .replace(&commit[..7], "COMMIT")
            .replace(&commit, "COMMIT");
        let lines = log.lines().filter(|line| {
            !["unable to read", "Fetching ", "Fetched "]
                .iter()
                .any(|what| line.contains(what))
        });
        expected.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
    });
}

#[test]
fn a_worker_was_killed_while_git_ran() {
    after_damage(
        |git_dir| fs::write(git_dir.join("index.lock"), "").unwrap(),
        expect![[r#"
            All commits already cached
            HEAD is now at COMMIT a commit
        "#]],
    );
}

#[test]
fn a_worker_was_killed_while_making_a_clone() {
    after_damage(
        |git_dir| fs::write(git_dir.join("config"), "[core]\n").unwrap(),
        expect![[r#"
            Removing corrupted repository "STATE/git/project-HASH"
            Initialized empty Git repository in STATE/git/project-HASH/.git/
            HEAD is now at COMMIT a commit
        "#]],
    );
}

#[test]
fn a_clone_has_lost_files() {
    after_damage(
        |git_dir| {
            // All objects except the commit, so that it seems to be cached.
            let clone = crate::testing::git::Repository {
                path: git_dir.to_owned(),
            };
            let commit = clone.git(&["cat-file", "commit", "origin/main"]) + "\n";
            let file = git_dir.join("commit");
            fs::write(&file, commit).unwrap();
            fs::remove_dir_all(git_dir.join("objects")).unwrap();
            fs::create_dir(git_dir.join("objects")).unwrap();
            clone.git(&["hash-object", "-t", "commit", "-w", "commit"]);
        },
        expect![[r#"
            All commits already cached
            git-reset failed with exit-code 128: trying again with a new clone
            Removing corrupted repository "STATE/git/project-HASH"
            Initialized empty Git repository in STATE/git/project-HASH/.git/
            HEAD is now at COMMIT a commit
        "#]],
    );
}

/// On some file systems, a power failure empties files.
#[test]
fn a_clone_has_empty_files() {
    after_damage(
        |git_dir| {
            let mut pending = vec![git_dir.join("objects")];
            while let Some(dir) = pending.pop() {
                for entry in fs::read_dir(dir).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        pending.push(path);
                    } else {
                        fs::remove_file(&path).unwrap();
                        fs::write(&path, "").unwrap();
                    }
                }
            }
        },
        expect![[r#"
            the clone is damaged: trying again with a new clone
            Removing corrupted repository "STATE/git/project-HASH"
            Initialized empty Git repository in STATE/git/project-HASH/.git/
            HEAD is now at COMMIT a commit
        "#]],
    );
}

#[test]
fn a_deleted_branch_does_not_prevent_another() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        project.commit("hello", "one");
        project.git(&["branch", "topic"]);
        let one = project.git(&["rev-parse", "HEAD"]);
        worker
            .check_out(&request(&server.url("project"), &[&one]))
            .await
            .0
            .unwrap();
        project.git(&["branch", "-D", "topic"]);
        project.git(&["checkout", "-q", "-b", "topic/part"]);
        let two = project.commit("hello", "two");
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&two]))
            .await;
        assert_eq!(files(&source.unwrap()), "hello: two\n");
        assert!(!log.contains("Removing"), "{log}");
        let clone = crate::testing::git::Repository {
            path: worker.clone_dir(),
        };
        let refs = clone.git(&["for-each-ref", "--format=%(refname)"]);
        assert!(
            refs.contains("origin/topic/part") && !refs.contains("origin/topic\n"),
            "{refs}"
        );
    });
}

#[test]
fn lock_files_of_a_killed_git_are_removed() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let one = project.commit("hello", "one");
        let url = server.url("project");
        worker.check_out(&request(&url, &[&one])).await.0.unwrap();
        let git = worker.clone_dir().join(".git");
        for lock in [
            "refs/remotes/origin/main.lock",
            "packed-refs.lock",
            "config.lock",
        ] {
            fs::write(git.join(lock), "").unwrap();
        }
        let two = project.commit("hello", "two");
        let (source, log) = worker.check_out(&request(&url, &[&two])).await;
        assert_eq!(files(&source.unwrap()), "hello: two\n", "{log}");
        assert!(!log.contains("Removing"), "{log}");
    });
}

/// The clone must be kept for other jobs, although a fetch of this one fails.
#[test]
fn an_error_on_the_server_does_not_invalidate_the_clone() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let one = project.commit("hello", "one");
        let url = server.url("project");
        worker.check_out(&request(&url, &[&one])).await.0.unwrap();
        let tree = project.git(&["rev-parse", "HEAD^{tree}"]);
        fs::write(
            project.path.join("bad"),
            format!("tree {tree}\n\nnobody has written this\n"),
        )
        .unwrap();
        let bad = project.git(&["hash-object", "-t", "commit", "-w", "--literally", "bad"]);
        fs::write(project.path.join(".git/refs/heads/bad"), format!("{bad}\n")).unwrap();
        let (source, log) = worker.check_out(&request(&url, &[&bad])).await;
        assert_eq!(
            source.unwrap_err().to_string(),
            "git-fetch failed with exit-code 128",
            "{log}"
        );
        assert!(
            !log.contains("Removing") && log.contains("missingAuthor"),
            "{log}"
        );
        let (source, log) = worker.check_out(&request(&url, &[&one])).await;
        source.unwrap();
        assert!(log.starts_with("All commits already cached"), "{log}");
    });
}
