//! Files in Git LFS, from a mock server, with the real `git-lfs`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use super::*;

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
                       oid sha256:9bfce334a37bd1bc1d36b0370195b31fe9a9389dd43d0873891a3544ef1140a1\n\
                       size 6\n";
const CONTENT: &str = "large\n";

/// A server that has one large file.
struct LfsServer {
    server: Server,
    requests: Arc<Mutex<Vec<String>>>,
}

impl LfsServer {
    fn new() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let server = Server::start(move |connection| {
            let request = answer(connection);
            seen.lock().unwrap().push(request);
        });
        Self { server, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/lfs", self.server.address)
    }

    /// Returns how often the file's contents were fetched.
    fn downloads(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|line| line.starts_with("GET /content "))
            .count()
    }
}

/// Answers a request, and returns its first line.
fn answer(mut connection: TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    let complete = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n")?;
        let head = head.to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or("0", |rest| rest.lines().next().unwrap());
        (body.len() >= length.trim().parse().unwrap()).then_some(())
    };
    while complete(&request).is_none() {
        match connection.read(&mut buffer) {
            Ok(size) if size > 0 => request.push_str(std::str::from_utf8(&buffer[..size]).unwrap()),
            _ => return request,
        }
    }
    let address = connection.local_addr().unwrap();
    let oid = POINTER
        .split("sha256:")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let body = if request.starts_with("POST /lfs/objects/batch ") {
        format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{oid}","size":6,
                "actions":{{"download":{{"href":"http://{address}/content"}}}}}}]}}"#
        )
    } else {
        CONTENT.to_owned()
    };
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.git-lfs+json\r\nConnection: close\r\n";
    // The client may have closed the connection.
    drop(write!(
        connection,
        "{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    request.lines().next().unwrap_or_default().to_owned()
}

fn has_lfs(test: &str) -> bool {
    let path = ["/usr/local/bin", "/usr/bin", "/bin"];
    let there = path
        .iter()
        .any(|dir| Path::new(dir).join("git-lfs").exists());
    if !there {
        eprintln!("{test}: not run, as git-lfs is not installed");
    }
    there
}

/// Commits two files with the same contents, which the server has in Git LFS.
fn commit(project: &crate::testing::git::Repository, server: &str) -> String {
    let write = |name: &str, text: &str| fs::write(project.path.join(name), text).unwrap();
    write(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    write(".lfsconfig", &format!("[lfs]\n\turl = {server}\n"));
    write("one.bin", POINTER);
    project.commit("two.bin", POINTER)
}

fn read(source: &Context, file: &str) -> String {
    fs::read_to_string(source.path().join(file)).unwrap()
}

#[test]
fn large_files_are_fetched_once_also_for_submodules() {
    if !has_lfs("large_files_are_fetched_once_also_for_submodules") {
        return;
    }
    local(async {
        let (server, worker, lfs) = (GitServer::new(), Worker::new(), LfsServer::new());
        commit(&server.repository("library"), &lfs.url());
        let project = server.repository("project");
        let url = server.url("project");
        let plain = commit(&project, &lfs.url());
        let with_submodule = project.add_submodule("../library", "sub");
        let (source, log) = worker.check_out(&request(&url, &[&plain])).await;
        let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert_eq!(
            (read(&source, "one.bin"), read(&source, "two.bin")),
            (CONTENT.into(), CONTENT.into()),
            "{log}"
        );
        assert!(
            log.contains("2 files are kept in Git LFS, such as \"one.bin\": fetching them\n"),
            "{log}"
        );
        assert!(
            log.contains(&format!("Fetched the Git LFS files of {url}: ")),
            "{log}"
        );
        let (source, log) = worker.check_out(&request(&url, &[&with_submodule])).await;
        let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert_eq!(
            (read(&source, "two.bin"), read(&source, "sub/two.bin")),
            (CONTENT.into(), CONTENT.into()),
            "{log}"
        );
        assert!(!source.path().join("sub/.git").exists());
        assert_eq!(lfs.downloads(), 1);

        // With `.git`, a git without `git-lfs` sees no changes.
        let mut job = request(&url, &[&plain]);
        job.include_git = true;
        let (source, log) = worker.check_out(&job).await;
        let source = source.unwrap_or_else(|error| panic!("{error}: {log}"));
        let copy = crate::testing::git::Repository {
            path: source.path().to_owned(),
        };
        fs::write(source.path().join("one.bin"), CONTENT).unwrap();
        assert_eq!(copy.git(&["status", "--porcelain"]), "");
    });
}

#[test]
fn large_files_that_are_not_fetched_are_logged() {
    local(async {
        let (server, mut worker) = (GitServer::new(), Worker::new());
        let commit = commit(&server.repository("project"), "http://127.0.0.1:1/lfs");
        let job = request(&server.url("project"), &[&commit]);
        let bin = tempfile::tempdir().unwrap();
        for entry in fs::read_dir("/usr/bin").unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "git-lfs" {
                symlink(entry.path(), bin.path().join(entry.file_name())).unwrap();
            }
        }
        let mut config = FetchConfig::default();
        for (large_files, why) in [
            (
                super::super::LargeFiles::IfInstalled,
                "this worker has no git-lfs",
            ),
            (super::super::LargeFiles::Never, "--git-lfs=never"),
        ] {
            config.large_files = large_files;
            let environment = Environment::default().with("PATH", bin.path());
            let Worker { state_dir, sources } = worker;
            drop(sources);
            let sources = Sources::open(
                state_dir.path(),
                CloneLimits::default(),
                config,
                &environment,
                Processes::new(),
            );
            worker = Worker {
                sources: sources.unwrap(),
                state_dir,
            };
            let (source, log) = worker.check_out(&job).await;
            assert_eq!(read(&source.unwrap(), "one.bin"), POINTER, "{log}");
            let line = format!(
                "2 files are kept in Git LFS, such as \"one.bin\": {why}, so the job gets the pointers to them\n"
            );
            assert!(log.contains(&line), "{log}");
        }
    });
}

#[test]
fn large_files_without_a_known_server_stay_pointers() {
    if !has_lfs("large_files_without_a_known_server_stay_pointers") {
        return;
    }
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        commit(&project, "");
        fs::remove_file(project.path.join(".lfsconfig")).unwrap();
        let commit = project.commit_all();
        let (source, log) = worker
            .check_out(&request(&server.url("project"), &[&commit]))
            .await;
        assert_eq!(read(&source.unwrap(), "one.bin"), POINTER, "{log}");
        assert!(log.contains("so the job gets the pointers\n"), "{log}");
    });
}

#[test]
fn large_files_from_the_workers_own_disk_are_refused() {
    if !has_lfs("large_files_from_the_workers_own_disk_are_refused") {
        return;
    }
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let commit = commit(&server.repository("project"), "file:///srv/private");
        let url = server.url("project");
        let (source, log) = worker.check_out(&request(&url, &[&commit])).await;
        assert_eq!(
            source.unwrap_err().to_string(),
            format!(
                "cannot fetch the Git LFS files of {url}: .lfsconfig names the server \"file:///srv/private\"; \
                 name one with an http or https URL"
            ),
            "{log}"
        );
    });
}
