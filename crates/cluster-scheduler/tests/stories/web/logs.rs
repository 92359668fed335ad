//! Logs, of any length.

use testkit::{BuildOutcome, MockBuilder, MockWorker, story};

use super::{operator, start};
use crate::durable::{connect, ended, request, submit};

/// How long a long log is, in bytes.
const LONG: usize = 12 << 20;

#[test]
fn a_short_log_is_shown_whole_and_can_be_searched() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.end("image", BuildOutcome::Failed("error: <it> broke"));
        ended(&job).await;
        let browser = operator(&site).await;
        let page = browser.get(&format!("/job/{id}")).await;
        page.has("id=\"L1\"")
            .has("error: &lt;it&gt; broke")
            .has("End of the log");
        let found = browser.get(&format!("/job/{id}?q=BROKE")).await;
        found.has("<mark>broke</mark>").has_not("Building image");
        let raw = browser.get(&format!("/job/{id}/log.txt?attempt=1")).await;
        assert_eq!(
            raw.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        raw.has("error: <it> broke");
        let part = browser
            .get(&format!("/job/{id}/log?attempt=1&from=9&to=14"))
            .await;
        assert_eq!(part.body, raw.body[9..14]);
        assert_eq!(
            browser
                .get(&format!("/job/{id}/log.txt?attempt=2"))
                .await
                .status,
            404
        );
    });
}

#[test]
fn a_long_log_is_opened_at_its_end_and_numbered_when_counted() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        builder.fill_logs(LONG);
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.end("image", BuildOutcome::Failed("the last line"));
        ended(&job).await;
        let browser = operator(&site).await;
        let path = format!("/job/{id}");
        let page = browser.get(&path).await;
        page.has("the last line")
            .has("earlier lines")
            .has_not("Building image");
        assert!(page.body.len() < 4 << 20, "{} bytes", page.body.len());

        // Its beginning is there, too, with the same numbers as in the whole log.
        let first = browser.get(&format!("{path}?attempt=1&from=0")).await;
        first.has("id=\"L1\"").has("later lines");
        let raw = browser.get(&format!("{path}/log.txt")).await;
        assert!(raw.body.len() > LONG);
        let lines = raw.body.lines().count();
        testkit::until("the lines are counted", async || {
            let page = browser.get(&path).await;
            page.body.contains(&format!("id=\"L{lines}\""))
        })
        .await;
        let middle = lines / 2;
        let page = browser
            .get(&format!("{path}?attempt=1&line={middle}"))
            .await;
        page.has(&format!("id=\"L{middle}\""));
    });
}
