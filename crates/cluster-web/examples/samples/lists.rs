//! Lists: jobs, and the audit log.

use cluster_json::audit::AuditedCall;
use cluster_json::kept_jobs::KeptJob;
use cluster_web::pages::{
    AuditPage, AuditRow, Filters, Graph, HintTimes, JobRow, JobsPage, Point, Section,
};

use super::operator;
use super::pools::labels;

const STATES: [&str; 7] = [
    "running",
    "queued",
    "succeeded",
    "failed",
    "lost",
    "timed-out",
    "cancelled",
];

pub(super) fn job_row(index: u32, state: &str) -> JobRow {
    let cause = match state {
        "failed" => Some("docker-build failed with exit-code 2: error: unbound module Irmin_unix"),
        "lost" => Some("x86-bm-3 disconnected; 3 attempts were lost"),
        "timed-out" => Some("took longer than 1 h 0 min"),
        _ => None,
    };
    JobRow {
        kept: KeptJob {
            id: format!("28t5cy4tq{index:03}"),
            state: state.to_owned(),
            pool: ["linux-x86_64", "linux-arm64"][index as usize % 2].to_owned(),
            kind: ["obuilder", "docker", "example"][index as usize % 3].to_owned(),
            labels: labels(
                "mirage/irmin",
                "0f954903a1b2c3d4e5f60718293a4b5c6d7e8f90",
                "main",
            ),
            submitted_ago_seconds: 120.0 * f64::from(index * index) + 44.0,
            changed_ago_seconds: 115.0 * f64::from(index * index),
            attempts: if state == "lost" { 3 } else { 1 },
            worker: (state != "queued").then(|| format!("x86-bm-{index}")),
            attached: index == 5,
        },
        client: Some("ocaml-ci".to_owned()),
        cause: cause.map(str::to_owned),
    }
}

pub(super) fn failures() -> Vec<JobRow> {
    let states = ["failed", "failed", "lost", "failed", "timed-out"];
    (1..)
        .zip(states)
        .map(|(index, state)| job_row(index, state))
        .collect()
}

pub(super) fn jobs() -> JobsPage {
    JobsPage {
        frame: operator(Section::Jobs),
        filters: Filters {
            pool: "linux-x86_64".to_owned(),
            ..Filters::default()
        },
        jobs: (0..21)
            .map(|index| job_row(index, STATES[index as usize % 7]))
            .collect(),
        next: Some(4711),
        feed: None,
        badge: None,
        times: None,
        pools: vec!["linux-arm64".to_owned(), "linux-x86_64".to_owned()],
    }
}

pub(super) fn hint() -> JobsPage {
    let points = (1..60u32).map(|index| Point {
        ago_seconds: f64::from(index) * 5000.0,
        value: if index % 9 == 0 { 1400.0 } else { 380.0 } + f64::from(index * 37 % 190),
        kind: match index {
            _ if index % 9 == 0 => "cold",
            _ if index % 13 == 0 => "failed",
            _ => "warm",
        }
        .to_owned(),
        job: Some(format!("28t5cy4tq{index:03}")),
    });
    JobsPage {
        feed: Some("/feed/T0ken/branch%3Dmain.atom".to_owned()),
        badge: Some("/badge/T0ken/branch%3Dmain.svg".to_owned()),
        filters: Filters {
            hint: "mirage/irmin".to_owned(),
            ..Filters::default()
        },
        times: Some(HintTimes {
            warm_seconds: Some(461.0),
            cold_seconds: Some(1502.0),
            graph: Graph {
                title: "How long these jobs ran".to_owned(),
                is_time: true,
                is_line: false,
                points: points.collect(),
            },
        }),
        ..jobs()
    }
}

pub(super) fn audit() -> AuditPage {
    let calls = (0..14u32).map(|index| AuditRow {
        call: AuditedCall {
            time: "2026-11-29T03:01:00Z".to_owned(),
            by: (index != 5).then(|| "anna@desk".to_owned()),
            address: "10.0.0.7:50322".to_owned(),
            service: ["admin", "pages"][index as usize % 2].to_owned(),
            action: ["pause", "unpause", "set-rate", "cancel"][index as usize % 4].to_owned(),
            pool: Some("linux-x86_64".to_owned()),
            object: format!("x86-bm-{index}"),
            detail: (index % 4 == 0)
                .then(|| "memory errors, see the ticket of the data centre".to_owned()),
            error: (index == 6).then(|| "no such client".to_owned()),
        },
        ago_seconds: 700.0 * f64::from(index + 1),
    });
    AuditPage {
        frame: operator(Section::Audit),
        calls: calls.collect(),
        next: Some(1200),
    }
}
