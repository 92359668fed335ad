//! Slow servers, and log lines about fetches.

use super::*;

/// Servers that accept connections and never answer, one for each protocol.
fn silent_servers() -> Vec<(Server, String)> {
    ["git", "http"]
        .map(|scheme| {
            let mut held = Vec::new();
            let server = Server::start(move |connection| held.push(connection));
            let url = format!("{scheme}://{}/group/project", server.address);
            (server, url)
        })
        .into()
}

#[test]
fn waiting_for_a_server_that_never_answers_ends() {
    local(async {
        for (limits, expected) in [
            (
                FetchConfig {
                    silence: Some(Duration::from_millis(500)),
                    total: None,
                    ..FetchConfig::default()
                },
                "nothing arrived for --git-silence-timeout=0.5 seconds; check that its server answers, and submit the \
                 job again",
            ),
            (
                FetchConfig {
                    silence: None,
                    total: Some(Duration::from_millis(500)),
                    ..FetchConfig::default()
                },
                "it took longer than --git-timeout=0.5 seconds; submit the job again, or ask the worker's operator to \
                 raise the limit",
            ),
        ] {
            for (_server, url) in silent_servers() {
                let worker = Worker::with(limits);
                let (source, log) = worker.check_out(&request(&url, &[&"ab".repeat(20)])).await;
                assert_eq!(
                    source.unwrap_err().to_string(),
                    format!("cannot fetch {url}: {expected}"),
                    "{log}"
                );
            }
        }
    });
}

/// Other jobs of the repository wait only if they must fetch.
#[test]
fn a_job_with_cached_commits_does_not_wait_for_one_that_fetches() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let commit = server.repository("project").commit("hello", "one");
        let known = request(&server.url("project"), &[&commit]);
        worker.check_out(&known).await.0.unwrap();
        server.freeze();
        let (log, cancel) = (TestLog::new(), Cancel::new());
        let unknown = request(&server.url("project"), &[&"ab".repeat(20)]);
        let waiting = worker.sources.check_out(Some(&unknown), &log.log, &cancel);
        let others = async {
            while !log.text().contains("Fetching ") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let (source, log) = worker.check_out(&known).await;
            assert_eq!(files(&source.unwrap()), "hello: one\n", "{log}");
            cancel.cancel();
        };
        let (source, ()) = tokio::join!(waiting, others);
        assert_eq!(source.unwrap_err(), JobError::Cancelled);
    });
}

#[test]
fn the_log_shows_the_size_and_the_time_of_a_fetch() {
    local(async {
        let (server, worker) = (GitServer::new(), Worker::new());
        let project = server.repository("project");
        let mut seed = 1_u32;
        let noise: String = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + u8::try_from(seed >> 26).unwrap())
        })
        .take(3 << 20)
        .collect();
        let commit = project.commit("noise", &noise);
        let url = server.url("project");
        let (source, log) = worker.check_out(&request(&url, &[&commit])).await;
        source.unwrap();
        assert!(
            log.contains(&format!("\nFetching {url}\nFetched {url}: ")),
            "{log}"
        );
        let summary = log
            .lines()
            .find(|line| line.starts_with("Fetched"))
            .unwrap();
        assert!(
            summary.contains(" MiB in ") && summary.ends_with(" s"),
            "{log}"
        );
        // A quick fetch shows no progress.
        assert!(!log.contains('%'), "{log}");
    });
}
