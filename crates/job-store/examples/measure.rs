//! Measures a store on a disk: `cargo run --release -p job-store --example measure -- FOLDER [JOBS]`.
//!
//! It saves so many jobs (100,000 unless told otherwise), ends all but a few, and times submissions one at a time and
//! in groups, a restart, pages of the history, and logs. Everything is removed at the end.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use job_store::logs::{Logs, MAX_READ_BYTES};
use job_store::sqlite::{self, SqliteReader, SqliteWriter};
use job_store::{Details, Label, Query, Reader as _, Sealer, State, Write, Writer as _};
use jobs::{AttemptId, Change, JobId, NewJob, Outcome, Terms, Verdict};
use pool::{CacheHint, ClientId, Time};

/// How many changes are saved together where they are.
const GROUP: usize = 100;
/// How many pieces are pruned.
const PIECES: usize = 100;
const LOG_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(folder) = args.next().map(PathBuf::from) else {
        eprintln!("usage: measure FOLDER [JOBS]");
        return ExitCode::from(124);
    };
    let jobs = args.next().and_then(|jobs| jobs.to_str()?.parse().ok());
    match measure(&folder.join("job-store-measure"), jobs.unwrap_or(100_000)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(folder: &Path, jobs: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let measured = measure_in(folder, jobs);
    std::fs::remove_dir_all(folder)?;
    measured
}

fn measure_in(folder: &Path, jobs: u64) -> Result<(), Box<dyn Error>> {
    let path = folder.join("jobs.db");
    let (mut writer, mut reader) = sqlite::open(&path)?;
    let sealer = Sealer::new(b"a private key");

    let mut times = Vec::new();
    for number in 0..1_000 {
        let write = submitted(&sealer, number)?;
        let began = Instant::now();
        writer.commit(&[write])?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "one submission: p50 {:.2} ms, p99 {:.2} ms",
        times[500], times[990]
    );

    let writes = (1_000..jobs).map(|number| submitted(&sealer, number));
    let writes = writes.collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    for group in writes.chunks(GROUP) {
        writer.commit(group)?;
    }
    let rate = writes.len() as f64 / began.elapsed().as_secs_f64();
    println!("submissions in groups of {GROUP}: {rate:.0} a second");

    let began = Instant::now();
    let restored = writer.restore()?.len();
    println!(
        "{restored} jobs restored in {:.2} s",
        began.elapsed().as_secs_f64()
    );

    end_most(&mut writer, jobs)?;
    println!(
        "{} MiB for {jobs} jobs",
        std::fs::metadata(&path)?.len() >> 20
    );
    pages(&mut reader)?;
    logs(folder)
}

fn submitted(sealer: &Sealer, number: u64) -> Result<Write, Box<dyn Error>> {
    let id = id(number);
    let new = NewJob {
        id,
        client: ClientId::new(&format!("client-{}", number % 7))?,
        pool: "linux-x86_64".into(),
        hint: CacheHint::new(&format!("git/project-{}", number % 50)),
        urgent: false,
        key: None,
        terms: Terms::default(),
    };
    let label = |name: &str, value: String| Label {
        name: name.to_owned(),
        value,
    };
    let details = Details {
        description: sealer.seal(id, &[b'x'; 600])?,
        kind: "docker".to_owned(),
        labels: vec![
            label("repo", format!("project-{}", number % 50)),
            label("commit", format!("{number:040x}")),
        ],
    };
    Ok(Write::submitted(
        new,
        Time::from_secs(number.cast_signed()),
        details,
    ))
}

/// Returns the id of a job, random enough.
fn id(number: u64) -> JobId {
    JobId::from_bits(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Ends all jobs but one in a thousand; one in ten thousand of them as failed.
fn end_most(writer: &mut SqliteWriter, jobs: u64) -> Result<(), Box<dyn Error>> {
    let ended = (0..jobs)
        .filter(|number| !number.is_multiple_of(1_000))
        .map(|number| {
            let verdict = if number % 10_000 == 1 {
                Verdict::Failed {
                    detail: "".into(),
                    exit_code: Some(2),
                }
            } else {
                Verdict::Succeeded("".into())
            };
            let at = Time::from_secs(number.cast_signed() + 60);
            Write::new(
                Change::Ended {
                    job: id(number),
                    outcome: Outcome::Done(verdict),
                    at,
                },
                None,
            )
        });
    let ended: Vec<_> = ended.collect();
    for group in ended.chunks(10_000) {
        writer.commit(group)?;
    }
    let mut times = Vec::new();
    for _ in 0..PIECES {
        let began = Instant::now();
        if writer.prune(Time::from_secs(100_000), 100)?.is_empty() {
            break;
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    if let (Some(median), Some(slowest)) = (times.get(times.len() / 2), times.last()) {
        println!("100 jobs pruned: p50 {median:.1} ms, slowest {slowest:.1} ms");
    }
    Ok(())
}

fn pages(reader: &mut SqliteReader) -> Result<(), Box<dyn Error>> {
    for (what, query) in queries()? {
        let began = Instant::now();
        let page = reader.page(&Query {
            at_most: 50,
            ..query
        })?;
        let time = began.elapsed().as_secs_f64() * 1e3;
        println!(
            "a page of jobs {what}: {time:.2} ms ({} of them)",
            page.records.len()
        );
    }
    Ok(())
}

fn queries() -> Result<[(&'static str, Query); 8], Box<dyn Error>> {
    let states = |states: &[State]| Query {
        states: states.to_vec(),
        ..Query::default()
    };
    let label = |name: &str, value: &str| {
        let label = Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        Query {
            labels: vec![label],
            ..Query::default()
        }
    };
    let client = Some(ClientId::new("client-3")?);
    Ok([
        ("the latest", Query::default()),
        (
            "of a client",
            Query {
                client: client.clone(),
                ..Query::default()
            },
        ),
        ("that failed", states(&[State::Failed])),
        ("that wait or run", states(&[State::Queued, State::Running])),
        ("with a label", label("repo", "project-7")),
        (
            "of a client with a label that failed",
            Query {
                client,
                states: vec![State::Failed],
                ..label("repo", "project-7")
            },
        ),
        ("with a label that none has", label("repo", "none")),
        ("that were lost", states(&[State::Lost])),
    ])
}

fn logs(folder: &Path) -> Result<(), Box<dyn Error>> {
    let logs = Logs::open(&folder.join("logs"))?;
    let attempt = AttemptId {
        job: id(1),
        number: 1,
    };
    let text: Vec<u8> = (0_u64..)
        .flat_map(|line| format!("[{line:>8}] gcc -O2 -c src/file-{}.c\n", line % 977).into_bytes())
        .take(LOG_BYTES)
        .collect();
    let mib_per_second = |began: Instant| (LOG_BYTES >> 20) as f64 / began.elapsed().as_secs_f64();

    let began = Instant::now();
    let mut writer = logs.write(attempt)?;
    for piece in text.chunks(256 << 10) {
        writer.append(writer.length(), piece)?;
    }
    writer.sync()?;
    println!("log written: {:.0} MiB/s", mib_per_second(began));
    let began = Instant::now();
    read_all(&logs, attempt)?;
    println!("growing log read: {:.0} MiB/s", mib_per_second(began));
    let began = Instant::now();
    logs.archive(attempt)?;
    println!("log compressed: {:.0} MiB/s", mib_per_second(began));
    let began = Instant::now();
    read_all(&logs, attempt)?;
    println!("archived log read: {:.0} MiB/s", mib_per_second(began));
    let began = Instant::now();
    let tail = logs.read(attempt, (LOG_BYTES - 1_000) as u64, 1_000)?;
    println!(
        "its last {} bytes: {:.2} ms",
        tail.len(),
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn read_all(logs: &Logs, attempt: AttemptId) -> Result<(), Box<dyn Error>> {
    let mut offset = 0;
    loop {
        let piece = logs.read(attempt, offset, MAX_READ_BYTES)?;
        if piece.is_empty() {
            return Ok(());
        }
        offset += piece.len() as u64;
    }
}
