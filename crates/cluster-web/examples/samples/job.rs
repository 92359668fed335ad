//! Pages of jobs.

use cluster_web::log::{Search, Start, StepMark, Terminal};
use cluster_web::pages::{
    Asked, AskedText, JobPage, LogMark, LogOptions, LogView, Part, Range, RunRow, Section,
    Timeline, Waiting,
};

use super::lists::job_row;
use super::{logs, operator};

const DOCKERFILE: &str = "FROM ocaml/opam:debian-12-ocaml-5.2\nRUN opam install --deps-only .\nCOPY . /src\n\
                          RUN dune build @install\nRUN dune runtest\n";

pub(super) fn page(state: &str, status: &str) -> JobPage {
    let page = JobPage {
        frame: operator(Section::Jobs),
        job: job_row(7, state),
        status: status.to_owned(),
        key: None,
        cache_hint: "mirage/irmin".to_owned(),
        urgent: true,
        waited_seconds: Some(74.0),
        ran_seconds: Some(84.0),
        usual_seconds: Some(461.0),
        output: None,
        waiting: None,
        runs: Vec::new(),
        timeline: Timeline::default(),
        log: None,
        asked: Some(Asked {
            kind: "docker".to_owned(),
            repository: Some("https://github.com/mirage/irmin.git".to_owned()),
            commits: vec!["0f954903a1b2c3d4e5f60718293a4b5c6d7e8f90".to_owned()],
            text: Some(AskedText {
                name: "Dockerfile".to_owned(),
                text: DOCKERFILE.to_owned(),
            }),
            options: vec![
                "--buildkit".to_owned(),
                "--build-arg=FLAVOUR=a b".to_owned(),
            ],
            secrets: vec!["npm-token".to_owned()],
            payload_bytes: None,
        }),
        reproduce: None,
        may_cancel: matches!(state, "queued" | "running"),
        may_retry: !matches!(state, "queued" | "running"),
    };
    page.with_reproduction()
}

fn timeline(is_running: bool) -> Timeline {
    let parts = [
        ("queued", "", 0.0, 74.0),
        ("source", "", 74.0, 3.0),
        ("image", "ocaml/opam:debian-12-ocaml-5.2", 77.0, 7.1),
        ("step", "RUN opam install --deps-only .", 84.1, 61.3),
        ("step", "COPY . /src", 145.4, 0.4),
        ("step", "RUN dune build @install", 145.8, 12.0),
    ];
    Timeline {
        parts: parts
            .map(|(kind, name, started_seconds, seconds)| Part {
                kind: kind.to_owned(),
                name: name.to_owned(),
                started_seconds,
                seconds,
                is_running: is_running && started_seconds > 145.5,
                cached: name.starts_with("COPY"),
            })
            .into(),
    }
}

fn options(log: &str) -> LogOptions {
    LogOptions {
        job: "28t5cy4tq007".to_owned(),
        attempt: 2,
        to: log.len() as u64,
        length: log.len() as u64,
        ..LogOptions::default()
    }
}

pub(super) fn view(log: &str, options: LogOptions, steps: &[StepMark]) -> LogView {
    let mut terminal = Terminal::new(Start::BEGINNING);
    terminal.read(log.as_bytes());
    let marks: Vec<LogMark> = (0..log.len() as u64)
        .step_by(100)
        .map(|offset| LogMark {
            offset,
            at_seconds: offset as f64 / 70.0,
        })
        .collect();
    LogView::new(options, terminal.take_changed(), steps, &marks)
}

pub(super) fn failed() -> JobPage {
    let log = logs::failing();
    let options = LogOptions {
        is_complete: true,
        has_failed: true,
        ..options(&log)
    };
    JobPage {
        log: Some(view(&log, options, &[])),
        timeline: timeline(false),
        runs: vec![
            RunRow {
                attempt: 1,
                worker: "x86-bm-9".to_owned(),
                started_ago_seconds: 900.0,
                ran_seconds: Some(412.0),
                result: Some("lost".to_owned()),
                detail: "x86-bm-9 disconnected".to_owned(),
                log_bytes: 12_600,
            },
            RunRow {
                attempt: 2,
                worker: "x86-bm-7".to_owned(),
                started_ago_seconds: 400.0,
                ran_seconds: Some(84.0),
                result: Some("failed".to_owned()),
                detail: String::new(),
                log_bytes: log.len() as u64,
            },
        ],
        ..page("failed", "failed: docker-build failed with exit-code 1")
    }
}

pub(super) fn running() -> JobPage {
    let log = logs::failing();
    let end = log.find("#8 0.513").unwrap_or(log.len());
    let log = log.get(..end).unwrap_or_default();
    let options = LogOptions {
        follow: Some("/events".to_owned()),
        earlier: Some("?attempt=2&to=4000".to_owned()),
        from: 4000,
        length: 9000,
        ..options(log)
    };
    JobPage {
        log: Some(view(log, options, &[])),
        timeline: timeline(true),
        ..page("running", "running on x86-bm-7")
    }
}

pub(super) fn queued() -> JobPage {
    JobPage {
        ran_seconds: None,
        waiting: Some(Waiting {
            kind: "busy".to_owned(),
            text: "all 22 workers are busy; 14 jobs are ahead, 2 of them urgent, 5 of your own"
                .to_owned(),
            ahead: 14,
            urgent_ahead: 2,
            own_ahead: 5,
            start: Some(Range {
                from_seconds: 130.0,
                to_seconds: 320.0,
            }),
            end: Some(Range {
                from_seconds: 560.0,
                to_seconds: 1100.0,
            }),
        }),
        ..page("queued", "queued: 14 jobs ahead")
    }
}

pub(super) fn found() -> JobPage {
    let log = logs::failing();
    let mut terminal = Terminal::new(Start::BEGINNING);
    terminal.read(log.as_bytes());
    let mut search = Search::new("package-1", 100);
    search.read(&mut terminal);
    let options = LogOptions {
        is_complete: true,
        ..options(&log)
    };
    JobPage {
        log: Some(LogView::found(options, "package-1", search.finish(), &[])),
        ..failed()
    }
}
