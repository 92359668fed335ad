//! Builds the Dockerfile of a commit on several pools at once, and prints the commands that combine the images.
//!
//! ```text
//! pipeline --cap=submission.cap --push-to=registry.example.org/project \
//!   https://git.example.org/project.git 2c6f1e0a… linux-x86_64 linux-arm64
//! ```
//!
//! The logs go to standard error, each line with the name of its pool. If all builds succeed, the commands that combine
//! their images go to standard output, so that `pipeline … | sh` runs them.
//!
//! Exit codes: 0 when all builds succeed, 1 when one fails, 2 when no job could be submitted. Ctrl-C ends the program,
//! and with its connection all of its jobs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use cluster_api::{Action, Description, DockerBuild, Dockerfile};
use cluster_client::{Cluster, JobError, LogEvent, Options};
use futures::future::join_all;

/// Build the Dockerfile of a commit on several pools, push the images, and print how to combine them
#[derive(Debug, Parser)]
struct Args {
    /// Cap file of a client
    #[arg(long, value_name = "FILE")]
    cap: PathBuf,
    /// Repository for the images, without a tag; the workers must allow it
    #[arg(long, value_name = "REPO")]
    push_to: String,
    /// User for the login before the push
    #[arg(long, value_name = "USER", requires = "push_password")]
    push_user: Option<String>,
    /// File whose first line is the password for the login
    #[arg(long, value_name = "FILE", requires = "push_user")]
    push_password: Option<PathBuf>,
    /// URL of a repository with a Dockerfile at its root
    url: String,
    /// Commit, as a full hash
    commit: String,
    /// Pools to build on
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
    // Capabilities stay on one thread, so this thread runs everything.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, pipeline(args))
}

async fn pipeline(args: &Args) -> Result<ExitCode> {
    let sturdy_ref = vat::cap_file::load(&args.cap)?;
    let password = args.push_password.as_deref().map(first_line).transpose()?;
    let cluster = Cluster::connect(sturdy_ref, Options::default()).await?;

    // All pools at once. A pool without a free worker delays only its own job.
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

/// Returns the description of the job for one pool.
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
    // The next commit of this repository prefers the worker that has built this one.
    description.cache_hint = args.url.clone();
    description
}

/// Builds on one pool, and shows the log as it arrives. Returns the pushed image, by digest.
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
            // The worker was lost, and the log starts again; or the rest of the log cannot be read.
            notice => lines.add(format!("\n[{notice}]\n").as_bytes()),
        }
    }
    lines.add(b"\n");
    job.await
}

/// Shows a log line by line, each with the name of its pool. Its pieces may end inside a line.
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
        // If standard error is closed, the build continues.
        drop(std::io::stderr().write_all(shown.as_bytes()));
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
