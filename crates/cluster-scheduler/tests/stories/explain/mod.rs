//! Why jobs wait, and why workers run no more of them: each reason, from the situation that causes it.

mod durable;
mod obstacles;
mod queues;
mod workers;

use cluster_api::{DurableJob, Explanation, NewPause, Submission, Ticket};
use expect_test::Expect;
use testkit::{docker_with_hint, pass_seconds};

/// Longer than it takes until facts are gathered again, and less than it takes until an idle worker is probed.
pub(super) const REFRESHED: u64 = 1;

/// About how long a line is.
const MAX_WIDTH: usize = 80;

/// Returns a text with each length of time replaced: how long something took depends on the machine.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_unit = |c: char| c.is_ascii_digit() || "dhms".contains(c);
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.ends_with(|c: char| "dhms".contains(c))
            && word.chars().all(is_unit)
    };
    let words = text.split(' ').map(|word| match is_time(word) {
        true => word
            .replace(|c: char| c.is_ascii_alphanumeric(), "")
            .replacen("", "TIME", 1),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns an explanation in short lines: the word, then the text.
pub(super) fn shown(explanation: &Explanation) -> String {
    let mut shown = explanation.kind.clone() + ":";
    let mut width = usize::MAX;
    for word in without_times(&explanation.text).split(' ') {
        let separator = if width > MAX_WIDTH { "\n" } else { " " };
        width = match separator {
            "\n" => word.len(),
            _ => width + 1 + word.len(),
        };
        shown = shown + separator + word;
    }
    shown + "\n"
}

pub(super) async fn submit(client: &Submission, job: &str, hint: &str, urgent: bool) -> Ticket {
    let description = docker_with_hint(job, hint);
    client.submit("pool", &description, urgent).await.unwrap()
}

/// Checks why the job of a ticket waits.
pub(super) async fn check(ticket: &Ticket, expected: Expect) {
    pass_seconds(REFRESHED).await;
    expected.assert_eq(&shown(&ticket.explain().await.unwrap()));
}

pub(super) async fn check_durable(job: &DurableJob, expected: Expect) {
    pass_seconds(REFRESHED).await;
    expected.assert_eq(&shown(&job.explain().await.unwrap()));
}

pub(super) fn note(until_reconnect: bool) -> NewPause {
    NewPause {
        by: "ann@desk".to_owned(),
        note: "new kernel".to_owned(),
        until_reconnect,
        ..NewPause::default()
    }
}
