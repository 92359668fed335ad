//! Builds the Dockerfile of a commit on several pools at once, and says how to make one image of what came out.
//!
//! ```text
//! pipeline --cap=submission.cap --push-to=registry.example.org/project \
//!   https://git.example.org/project.git 2c6f1e0a… linux-x86_64 linux-arm64
//! ```
//!
//! The logs go to standard error, each line under the name of its pool. If all pools have built it, the commands that
//! combine their images go to standard output, so that `pipeline … | sh` does it.
//!
//! Exit codes: 0 when all have built it, 1 when one has not, 2 when nothing could be submitted. Ctrl-C ends the
//! program, and with its connection all of its jobs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use cluster_api::{Action, Description, DockerBuild, Dockerfile};
use cluster_client::{Cluster, JobError, LogEvent, Options};
use futures::future::join_all;

/// Build the Dockerfile of a commit on several pools, push the images, and say how to combine them
#[derive(Debug, Parser)]
struct Args {
    /// The cap file that gives access to the cluster
    #[arg(long, value_name = "FILE")]
    cap: PathBuf,
    /// Where the images go, without a tag; the workers must allow it
    #[arg(long, value_name = "REPO")]
    push_to: String,
    /// The user to log in as before pushing
    #[arg(long, value_name = "USER", requires = "push_password")]
    push_user: Option<String>,
    /// A file whose first line is that user's password
    #[arg(long, value_name = "FILE", requires = "push_user")]
    push_password: Option<PathBuf>,
    /// The repository with a Dockerfile at its root
    url: String,
    /// The commit, as a full hash
    commit: String,
    /// The pools to build it on
    #[arg(required = true)]
    pools: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pipeline: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    // Capabilities stay on one thread, so one thread runs everything.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, pipeline(args))
}

async fn pipeline(args: &Args) -> Result<ExitCode> {
    let sturdy_ref = vat::cap_file::load(&args.cap)?;
    let password = args.push_password.as_deref().map(first_line).transpose()?;
    let cluster = Cluster::connect(sturdy_ref, Options::default()).await?;

    // All pools at once. A pool without a free worker makes its own job wait, and nobody else's.
    let builds = args.pools.iter().map(|pool| {
        let description = describe(args, pool, password.as_deref());
        build(&cluster, pool, description)
    });
    let outcomes = join_all(builds).await;

    let mut images = Vec::new();
    for (pool, outcome) in args.pools.iter().zip(outcomes) {
        match outcome {
            Ok(image) => {
                eprintln!("{pool}: {image}");
                images.push(image);
            }
            Err(error) => eprintln!("{pool}: {error}"),
        }
    }
    if images.len() < args.pools.len() {
        return Ok(ExitCode::FAILURE);
    }
    let combined = format!("{}:{}", args.push_to, args.commit);
    println!("docker manifest create {combined} {}", images.join(" "));
    println!("docker manifest push {combined}");
    Ok(ExitCode::SUCCESS)
}

/// Says what one pool is to do.
fn describe(args: &Args, pool: &str, password: Option<&str>) -> Description {
    let mut description = Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Path("Dockerfile".to_owned()),
        push_target: format!("{}:{pool}-{}", args.push_to, args.commit),
        push_user: args.push_user.clone().unwrap_or_default(),
        push_password: password.unwrap_or_default().to_owned().into(),
        ..DockerBuild::default()
    }));
    description.repository = args.url.clone();
    description.commits = vec![args.commit.clone()];
    // The next commit of this repository likes the worker that has built this one.
    description.cache_hint = args.url.clone();
    description
}

/// Builds on one pool, and shows the log as it grows. Returns the pushed image, by digest.
async fn build(
    cluster: &Cluster,
    pool: &str,
    description: Description,
) -> Result<String, JobError> {
    let job = cluster.submit(pool, &description);
    let mut log = job.log();
    let mut lines = Lines::of(pool);
    while let Some(event) = log.next().await {
        match event {
            LogEvent::Bytes(bytes) => lines.add(&bytes),
            // A lost worker: what was shown so far is void, and the next one begins from nothing.
            notice => lines.add(format!("\n[{notice}]\n").as_bytes()),
        }
    }
    lines.add(b"\n");
    job.await
}

/// Shows a log line by line, each with the pool that it is of. Its pieces end anywhere.
struct Lines<'a> {
    pool: &'a str,
    begun: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn of(pool: &'a str) -> Self {
        let begun = Vec::new();
        Self { pool, begun }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.begun.extend(bytes);
        let whole = match self.begun.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => self.begun.drain(..=end).collect::<Vec<_>>(),
            None => return,
        };
        let mut shown = String::new();
        for line in String::from_utf8_lossy(&whole).lines() {
            if !line.is_empty() {
                shown += &format!("{} | {line}\n", self.pool);
            }
        }
        // Nobody may be there to see it; the build goes on.
        drop(std::io::stderr().write_all(shown.as_bytes()));
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
