//! Jobs with ids that are not commits of a branch, and the permissions of checked out files.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_commit_on_no_branch_is_fetched_by_its_id() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let base = project.commit("hello", "base");
        let url = server.url("project");
        worker.check_out(&request(&url, &[&base])).await.0.unwrap();
        let mut commits = Vec::new();
        for (text, refs) in [
            ("behind a tag", "refs/tags/v1"),
            ("of a pull request", "refs/pull-requests/7/from"),
            ("pushed over", "refs/heads/gone"),
        ] {
            project.git(&["checkout", "-q", "--detach", &base]);
            let commit = project.commit("hello", text);
            project.git(&["update-ref", refs, &commit]);
            commits.push((text, commit));
        }
        project.git(&["update-ref", "-d", "refs/heads/gone"]);
        for (text, commit) in &commits {
            let (source, log) = worker.check_out(&request(&url, &[commit])).await;
            let source = source.unwrap_or_else(|error| panic!("{text}: {error}: {log}"));
            assert_eq!(files(&source), format!("hello: {text}\n"));
        }
        // It is kept, also when objects are packed.
        let clone = crate::testing::git::Repository {
            path: worker.clone_dir(),
        };
        clone.git(&["gc", "-q", "--prune=now"]);
        for (text, commit) in &commits {
            let (_, log) = worker.check_out(&request(&url, &[commit])).await;
            assert!(
                log.starts_with("All commits already cached"),
                "{text}: {log}"
            );
        }
    });
}

#[test]
fn an_id_that_is_not_a_commit_fails_the_job_and_keeps_the_clone() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let commit = project.commit("hello", "one");
        project.git(&["tag", "-m", "a tag", "v1"]);
        project.git(&["tag", "-m", "a tag", "tree", "HEAD^{tree}"]);
        let url = server.url("project");
        worker
            .check_out(&request(&url, &[&commit]))
            .await
            .0
            .unwrap();
        for (name, kind) in [
            ("HEAD^{tree}", "tree"),
            ("HEAD:hello", "blob"),
            ("tree^{tag}", "tag of something else"),
        ] {
            let id = project.git(&["rev-parse", name]);
            let (source, log) = worker.check_out(&request(&url, &[&id])).await;
            assert_eq!(
                source.unwrap_err().to_string(),
                format!(
                    "cannot check out {id} of {url}: it is the id of a {kind}, not of a commit; use the id of a commit"
                ),
                "{log}"
            );
            assert!(!log.contains("Removing"), "{name}: {log}");
        }
        // The id of a commit's tag is accepted.
        let tag = project.git(&["rev-parse", "v1^{tag}"]);
        assert_ne!(tag, commit);
        let (source, log) = worker.check_out(&request(&url, &[&tag])).await;
        assert_eq!(files(&source.unwrap()), "hello: one\n", "{log}");
    });
}

/// Otherwise a job with another user could not read it, and the layers of a build would differ between workers.
#[test]
fn sources_have_gits_usual_permissions() {
    let testing = std::thread::spawn(|| {
        // The umask of this thread, which its programs inherit.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        local(async {
            let (server, worker) = (GitServer::new(), Worker::new());
            let library = server.repository("library");
            library.commit("lib", "v1");
            let project = server.repository("project");
            fs::create_dir(project.path.join("dir")).unwrap();
            let program = project.path.join("program");
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            project.commit("dir/hello", "one");
            project.git(&["checkout", "-q", "-b", "side"]);
            let side = project.commit("dir/side", "two");
            project.git(&["checkout", "-q", "main"]);
            let main = project.add_submodule(&server.url("library"), "sub");
            let mut job = request(&server.url("project"), &[&main, &side]);
            for include_git in [false, true] {
                job.include_git = include_git;
                if include_git {
                    // As made by an older worker.
                    let config = worker.clone_dir().join(".git/config");
                    fs::set_permissions(config, fs::Permissions::from_mode(0o600)).unwrap();
                }
                let (source, log) = worker.check_out(&job).await;
                let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
                for (path, mode) in [
                    (".git", 0o755),
                    (".git/config", 0o644),
                    ("dir", 0o755),
                    ("dir/hello", 0o644),
                    ("dir/side", 0o644),
                    ("program", 0o755),
                    ("sub", 0o755),
                    ("sub/lib", 0o644),
                ] {
                    if path.starts_with(".git") && !include_git {
                        continue;
                    }
                    let data = fs::metadata(source.path().join(path)).unwrap();
                    assert_eq!(data.permissions().mode() & 0o777, mode, "{path}");
                }
            }
        });
    });
    testing.join().unwrap();
}
