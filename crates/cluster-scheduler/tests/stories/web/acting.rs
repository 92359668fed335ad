//! What visitors do: with a form of ours, and recorded.

use testkit::{BuildOutcome, MockBuilder, MockWorker, story};

use super::{operator, start, stranger};
use crate::durable::{connect, ended, request, submit};

#[test]
fn a_client_cancels_its_job_and_runs_it_again() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let (id, job) = submit(&client, &request("image")).await;
        let link = client.web_link(Some(&id), false).await.unwrap();
        let mut browser = stranger(&site);
        let page = browser.enter(&link.url).await;

        let token = browser.token(&page).await;
        let form = format!("token={token}");
        let cancelled = browser.post(&format!("{page}/cancel"), &form).await;
        assert_eq!(cancelled.status, 303, "{cancelled:?}");
        assert_eq!(ended(&job).await.0, 0);

        let retried = browser.post(&format!("{page}/retry"), &form).await;
        assert_eq!(retried.status, 303, "{retried:?}");
        let again = retried.header("location").unwrap();
        assert_ne!(again, page);
        browser.get(again).await.has("queued");
        // It has no watcher, and goes on.
        let builder = MockBuilder::new();
        builder.end("image", BuildOutcome::Succeeded("done"));
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let id = again.strip_prefix("/job/").unwrap();
        let job = client.find_durable(id).await.unwrap();
        assert_eq!(ended(&job).await.0, 1);
    });
}

#[test]
fn an_operator_pauses_with_a_note_and_that_is_recorded() {
    story(async {
        let site = start().await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (client, _connected) = connect(&site).await;
        let browser = operator(&site).await;
        let token = browser.token("/worker/pool/w1").await;
        let form = format!("token={token}&note=disk+is+%3Cfull%3E");
        let paused = browser.post("/worker/pool/w1/pause", &form).await;
        assert_eq!(paused.header("location"), Some("/worker/pool/w1"));
        browser
            .get("/worker/pool/w1")
            .await
            .has("disk is &lt;full&gt;")
            .has("ann@desk");

        let (id, job) = submit(&client, &request("image")).await;
        let cancel = format!("/job/{id}/cancel");
        let cancelled = browser.post(&cancel, &format!("token={token}")).await;
        assert_eq!(cancelled.status, 303, "{cancelled:?}");
        ended(&job).await;
        let unpause = "/worker/pool/w1/unpause";
        browser.post(unpause, &format!("token={token}")).await;

        let audit = browser.get("/audit.json").await.json();
        let calls: Vec<_> = audit["calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| {
                format!(
                    "{} {} by {} through {}",
                    call["action"], call["object"], call["by"], call["service"]
                )
            })
            .collect();
        assert_eq!(
            calls,
            [
                "\"unpause\" \"w1\" by \"ann@desk\" through \"pages\"".to_owned(),
                format!("\"cancel\" \"job {id}\" by \"ann@desk\" through \"pages\""),
                "\"pause\" \"w1\" by \"ann@desk\" through \"pages\"".to_owned(),
            ]
        );
    });
}

#[test]
fn no_other_site_can_send_a_form() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let (id, _job) = submit(&client, &request("image")).await;
        let browser = operator(&site).await;
        let token = browser.token(&format!("/job/{id}")).await;
        let cancel = format!("/job/{id}/cancel");
        let form = format!("token={token}");
        let evil = browser
            .post_from("http://evil.example", &cancel, &form)
            .await;
        assert_eq!(evil.status, 403);
        let null = browser.post_from("null", &cancel, &form).await;
        assert_eq!(null.status, 403);
        // Without a token, with that of another session, and without an origin.
        assert_eq!(browser.post(&cancel, "").await.status, 403);
        let other = operator(&site).await.token(&format!("/job/{id}")).await;
        let with_other = browser.post(&cancel, &format!("token={other}")).await;
        assert_eq!(with_other.status, 403);
        let more = format!(
            "Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            form.len()
        );
        let request = browser.head("POST", &cancel, &more) + &form;
        assert_eq!(browser.ask(&request).await.status, 403);
        // Reading cancels nothing.
        assert_eq!(browser.get(&cancel).await.status, 405);
        let status = browser.get(&format!("/job/{id}.json")).await.json();
        assert_eq!(status["job"]["state"], "queued");
    });
}

#[test]
fn who_only_sees_a_job_cannot_change_it() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let (bob, _bob) = site.client("bob").await;
        let (id, _job) = submit(&client, &request("image")).await;
        let page = format!("/job/{id}");
        let cancel = format!("{page}/cancel");

        let link = client.web_link(Some(&id), true).await.unwrap();
        let mut guest = stranger(&site);
        guest.enter(&link.url).await;
        let token = guest.token(&page).await;
        let refused = guest.post(&cancel, &format!("token={token}")).await;
        assert_eq!(refused.status, 403);

        let link = bob.web_link(None, false).await.unwrap();
        let mut other = stranger(&site);
        other.enter(&link.url).await;
        let token = other.token("/").await;
        let refused = other.post(&cancel, &format!("token={token}")).await;
        assert_eq!(refused.status, 404);
        let form = format!("token={token}&note=mine");
        let refused = other.post("/worker/pool/w1/pause", &form).await;
        assert_eq!(refused.status, 403);
    });
}
