//! The format of lines, and which are shown.

use std::io;
use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};

use super::*;

/// What was written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Returns the text lines of `work`.
fn logged(verbosity: Verbosity, colour: bool, work: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let clock = || "2020-07-07 16:24.28".to_owned();
    let layer = text_layer(LineFormat { colour, clock }, move || writer.clone());
    let subscriber = tracing_subscriber::registry()
        .with(filter(verbosity))
        .with(layer);
    tracing::subscriber::with_default(subscriber, work);
    sink.text()
}

/// Returns the JSON lines of `work`.
fn logged_as_json(work: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let clock = || "2020-07-07T16:24:28.000000Z".to_owned();
    let layer = json_layer(JsonFormat { clock }, move || writer.clone());
    let subscriber = tracing_subscriber::registry()
        .with(filter(Verbosity::Info))
        .with(layer);
    tracing::subscriber::with_default(subscriber, work);
    sink.text()
}

fn check(actual: &str, expected: Expect) {
    expected.assert_eq(actual);
}

#[test]
fn lines_have_upstreams_format() {
    let text = logged(Verbosity::Info, false, || {
        tracing::info!(target: "vat::identity", "Generating new private key...");
        tracing::info!(target: "application", "Wrote capability reference to {:?}", "./admin.cap");
        tracing::info!(target: "cluster_scheduler::service", "Registered new worker \"my-host\"");
        tracing::warn!(target: "cluster_worker::agent", retry = 3, "two\nlines of \x1b[31mtext\n");
        tracing::error!(target: "application", "it broke");
        tracing::debug!(target: "cluster_worker::agent", "not shown");
        let span = tracing::info_span!(target: "cluster_worker", "job", hint = "tutorial");
        span.in_scope(|| tracing::info!(target: "cluster_worker::job", "Job succeeded"));
    });
    check(
        &text,
        expect![[r#"
            2020-07-07 16:24.28      capnp-rpc [INFO] Generating new private key...
            2020-07-07 16:24.28    application  Wrote capability reference to "./admin.cap"
            2020-07-07 16:24.28      scheduler [INFO] Registered new worker "my-host"
            2020-07-07 16:24.28         worker [WARNING] two
                                                      lines of \u{1b}[31mtext retry=3
            2020-07-07 16:24.28    application [ERROR] it broke
            2020-07-07 16:24.28         worker [INFO] Job succeeded [job hint="tutorial"]
        "#]],
    );
}

#[test]
fn colour_is_only_the_levels() {
    let text = logged(Verbosity::Debug, true, || {
        tracing::warn!(target: "cluster_worker", "low disk space");
    });
    check(
        &text.replace('\x1b', "ESC"),
        expect![[r#"
            2020-07-07 16:24.28         worker [ESC[33mWARNINGESC[0m] low disk space
        "#]],
    );
}

#[test]
fn a_jobs_fields_have_no_colour() {
    let text = logged(Verbosity::Info, true, || {
        let late = tracing::field::Empty;
        let job =
            tracing::info_span!(target: "cluster_worker", "job", number = 3, hint = "a", late);
        job.in_scope(|| tracing::info!(target: "cluster_worker", n = 1, "Fetching"));
        job.record("late", 1.5);
        job.in_scope(|| tracing::info!(target: "cluster_worker", "Job succeeded"));
    });
    check(
        &text.replace('\x1b', "ESC"),
        expect![[r#"
        2020-07-07 16:24.28         worker [ESC[34mINFOESC[0m] Fetching n=1 [job number=3 hint="a"]
        2020-07-07 16:24.28         worker [ESC[34mINFOESC[0m] Job succeeded [job number=3 hint="a" late=1.5]
    "#]],
    );
}

#[test]
fn application_messages_are_shown_unless_all_is_quiet() {
    let shown = |verbosity| {
        logged(verbosity, false, || {
            tracing::info!(target: "application", "a");
            tracing::error!(target: "cluster_worker", "e");
        })
        .lines()
        .count()
    };
    assert_eq!((shown(Verbosity::Quiet), shown(Verbosity::Error)), (0, 2));
}

#[test]
fn options_name_a_level() {
    let args = |quiet, verbose, verbosity| LoggingArgs {
        color: Colour::Auto,
        quiet,
        verbose,
        verbosity,
        log_format: LogFormat::Text,
    };
    let level = |args: LoggingArgs| args.verbosity(Verbosity::Warning);
    assert_eq!(level(args(false, 0, None)), Verbosity::Warning);
    assert_eq!(level(args(false, 1, None)), Verbosity::Info);
    assert_eq!(level(args(false, 2, None)), Verbosity::Debug);
    assert_eq!(level(args(true, 1, None)), Verbosity::Quiet);
    assert_eq!(
        level(args(true, 0, Some(Verbosity::Error))),
        Verbosity::Error
    );
}

#[test]
fn an_object_has_a_lines_fields_and_those_of_its_job() {
    let text = logged_as_json(|| {
        let ticket = "linux-x86_64/17";
        tracing::info!(target: "cluster_scheduler::reactor", ticket, urgent = false, "two\n\"lines\"\n");
        tracing::error!(target: "application", exit_code = 1, "it broke");
        tracing::debug!(target: "application", "not shown");
        let late = tracing::field::Empty;
        let job = tracing::info_span!(target: "cluster_worker", "job", number = 3, hint = "a\u{1b}", late);
        job.in_scope(|| tracing::warn!(target: "cluster_worker::job", "slow"));
        job.record("late", 1.5);
        job.in_scope(|| tracing::info!(target: "cluster_worker::job", "Job succeeded"));
    });
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object.is_object(), "{line}");
    }
    check(
        &text.replace(",\"message\"", ",\n  \"message\""),
        expect![[r#"
        {"timestamp":"2020-07-07T16:24:28.000000Z","level":"info","target":"scheduler",
          "message":"two\n\"lines\"","ticket":"linux-x86_64/17","urgent":false}
        {"timestamp":"2020-07-07T16:24:28.000000Z","level":"error","target":"application",
          "message":"it broke","exit_code":1}
        {"timestamp":"2020-07-07T16:24:28.000000Z","level":"warning","target":"worker",
          "message":"slow","job":{"hint":"a\u001b","number":3}}
        {"timestamp":"2020-07-07T16:24:28.000000Z","level":"info","target":"worker",
          "message":"Job succeeded","job":{"hint":"a\u001b","late":1.5,"number":3}}
    "#]],
    );
}

#[test]
fn a_line_is_bounded_and_has_no_control_characters() {
    let long = "x".repeat(16 << 20);
    let attack = |text: &str| {
        let job = tracing::info_span!(target: "cluster_worker", "job", hint = text, other = %text);
        job.in_scope(|| tracing::warn!(target: "cluster_worker", field = text, other = ?text, "Ended: {text}"));
    };
    for text in [
        &long,
        &"\n".repeat(1 << 20),
        &"\u{1}\u{1b}".repeat(1 << 20),
        &"\u{202e}".repeat(1 << 20),
    ] {
        let started = std::time::Instant::now();
        for line in [
            logged(Verbosity::Info, false, || attack(text)),
            logged_as_json(|| attack(text)),
        ] {
            let first: String = line.chars().take(200).collect();
            assert!(line.len() < 16 << 10, "{} bytes: {first}", line.len());
            assert!(
                line.contains("… (cut)"),
                "nothing shows that it was cut: {first}"
            );
            assert!(
                line.lines().count() <= 40,
                "{} lines: {first}",
                line.lines().count()
            );
            let is_invisible = |c: &char| !matches!(c, '\n') && !visible::is_visible(*c);
            assert_eq!(line.chars().find(is_invisible), None, "{first}");
        }
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn fields_that_become_known_later_are_added() {
    let text = logged(Verbosity::Info, false, || {
        let late = tracing::field::Empty;
        let job = tracing::info_span!(target: "cluster_worker", "job", hint = "a", late);
        job.record("late", 1.5);
        job.in_scope(|| tracing::info!(target: "cluster_worker::job", "Job succeeded"));
    });
    assert!(
        text.ends_with("Job succeeded [job hint=\"a\" late=1.5]\n"),
        "{text}"
    );
}

#[test]
fn the_time_is_in_the_format_of_rfc_3339() {
    let time = json::universal_time();
    let parsed: jiff::Timestamp = time.parse().unwrap();
    assert_eq!(parsed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(), time);
}
