//! Which servers get the credentials of a URL.

use super::*;

#[test]
fn only_the_server_gets_credentials() {
    local(async {
        let (server, worker) = (WebServer::closed(), Worker::new());
        let job = request(
            &format!("http://bob:s3cret@{}/group/project", server.address()),
            &[&"ab".repeat(20)],
        );
        let test = TestLog::new();
        let cancel = Cancel::new();
        let checking_out = worker.sources.check_out(Some(&job), &test.log, &cancel);
        let mut checking_out = std::pin::pin!(checking_out);
        // In the clone, while it exists.
        let mut config = String::new();
        let result = loop {
            let polled = tokio::time::timeout(Duration::from_millis(1), &mut checking_out).await;
            let Ok(result) = polled else {
                let clones = fs::read_dir(worker.state_dir.path().join("git")).unwrap();
                for clone in clones {
                    let file = clone.unwrap().path().join(".git/config");
                    config = fs::read_to_string(file).unwrap_or(config);
                }
                continue;
            };
            break result;
        };
        assert_eq!(
            result.unwrap_err().to_string(),
            "git-fetch failed with exit-code 128"
        );
        // bob:s3cret
        let requests = server.requests();
        let header = "Authorization: Basic Ym9iOnMzY3JldA==";
        assert!(requests.contains(header), "{requests}");
        for text in [&test.text(), &config, &format!("{job:?}")] {
            assert!(text.contains("/group/project") || !text.is_empty());
            assert!(
                !text.contains("s3cret") && !text.contains("bob") && !text.contains("Ym9i"),
                "{text}"
            );
        }
    });
}

#[test]
fn credentials_are_not_sent_to_another_server_after_a_redirect() {
    local(async {
        let other = WebServer::closed();
        let elsewhere = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{}/group/project/info/refs?service=git-upload-pack\r\n",
            other.address()
        );
        // At once, or after the password.
        let (at_once, later) = (elsewhere.clone(), elsewhere);
        let servers = [
            WebServer::answering(move |_| at_once.clone()),
            WebServer::answering(move |request| {
                if request.contains("Authorization") {
                    later.clone()
                } else {
                    UNAUTHORIZED.to_owned()
                }
            }),
        ];
        for server in servers {
            let worker = Worker::new();
            let url = format!("http://bob:s3cret@{}/group/project", server.address());
            let job = request(&url, &[&"ab".repeat(20)]);
            worker.check_out(&job).await.0.unwrap_err();
            let requests = other.requests();
            assert!(requests.contains("GET /group/project"), "{requests}");
            assert!(!requests.contains("uthorization"), "{requests}");
        }
    });
}

#[test]
fn credentials_are_for_the_repositories_of_one_group() {
    local(async {
        let (server, worker) = (WebServer::closed(), Worker::new());
        let moved =
            "HTTP/1.1 302 Found\r\nLocation: /other/project/info/refs?service=git-upload-pack\r\n";
        let own = WebServer::answering(move |request| {
            let is_moved = request.contains("/group/");
            if is_moved { moved } else { UNAUTHORIZED }.to_owned()
        });
        let url = format!("http://bob:s3cret@{}/group/project", own.address());
        let job = request(&url, &[&"ab".repeat(20)]);
        worker.check_out(&job).await.0.unwrap_err();
        assert!(
            !own.requests().contains("uthorization"),
            "{}",
            own.requests()
        );
        // A renamed repository in the same group gets them.
        let job = format!("http://bob:s3cret@{}/group/project", server.address());
        worker
            .check_out(&request(&job, &[&"ab".repeat(20)]))
            .await
            .0
            .unwrap_err();
        assert!(server.requests().contains("uthorization"));
    });
}
