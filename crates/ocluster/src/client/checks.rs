//! What is said of a job before it is submitted: mistakes that the worker would find after an hour in the queue.

use std::path::Path;

use cluster_api::{Action, Description, Dockerfile};
use cluster_worker::{Mistake, find_mistake};
use obuilder_spec::Spec;

use cli::error::CommandError;

/// The longest hint that the scheduler keeps as it is. Beyond that it compares digests, and nobody can read the hint any more.
const MAX_HINT_BYTES: usize = 1024;

/// What to do where a worker of another kind, or of another version, takes what ours refuses.
const UNCHECKED: &str = "--unchecked submits the job all the same";

/// Fails with what is wrong with a job, as far as that can be told without its source and its worker.
pub(super) fn check(job: &Description) -> Result<(), CommandError> {
    let bytes = job.cache_hint.len();
    if bytes > MAX_HINT_BYTES {
        return Err(CommandError::usage(format_args!(
            "option '--cache-hint': the hint has {bytes} bytes, and the limit is {MAX_HINT_BYTES}"
        ))
        .hint("use a short name that the project's jobs share, such as org/repository"));
    }
    if let Action::Docker(build) = &job.action {
        check_dockerfile(&build.dockerfile, !job.commits.is_empty())?;
    }
    find_mistake(job).map_err(|mistake| refused(job, &mistake))?;
    match job.encode() {
        Ok(_) => Ok(()),
        Err(error) => Err(CommandError::usage(error.reason)),
    }
}

fn refused(job: &Description, mistake: &Mistake) -> CommandError {
    match mistake {
        Mistake::Repository(why) => {
            let refused = CommandError::usage(format_args!("argument URL: {why}"));
            match instead_of(&job.repository) {
                Some(instead) => refused.hint(instead),
                None => refused,
            }
        }
        Mistake::Commit(why) => {
            let refused = CommandError::usage(format_args!("argument HASH: {why}"));
            let short = |id: &&String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
            match job.commits.iter().find(|id| !is_full(id)) {
                Some(id) if short(&id) => {
                    refused.hint(format_args!("'git rev-parse {id}' prints the full id"))
                }
                Some(_) => refused.hint(
                    "'git ls-remote URL' prints the ids of all branches and tags, 'git rev-parse NAME' that of a local one",
                ),
                None => refused,
            }
        }
        Mistake::Build(why) => CommandError::usage(why).hint(UNCHECKED),
    }
}

fn is_full(id: &str) -> bool {
    [40, 64].contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns what to write instead of a repository that workers do not fetch from.
fn instead_of(repository: &str) -> Option<String> {
    let has_scheme = repository.contains("://");
    if repository.starts_with("file:") || (!has_scheme && repository.starts_with(['/', '.', '~'])) {
        let why = "a worker is another machine: push the commit to a server, and give its http or https URL";
        return Some(why.to_owned());
    }
    let (host, path) = match repository.strip_prefix("ssh://") {
        Some(rest) => rest.split_once('/')?,
        None if has_scheme => return None,
        None => repository.split_once(':')?,
    };
    let host = host.rsplit('@').next()?;
    // The port is that of ssh.
    let (host, _) = host.split_once(':').unwrap_or((host, ""));
    let is_plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._/~".contains(&b))
    };
    (is_plain(host) && is_plain(path) && host.contains('.')).then(|| {
        format!("workers have no key for ssh; if the server has it by https, write https://{host}/{path}")
    })
}

/// Fails if there is nothing that could be built.
fn check_dockerfile(dockerfile: &Dockerfile, has_source: bool) -> Result<(), CommandError> {
    let is_instruction = |line: &str| !line.is_empty() && !line.starts_with('#');
    match dockerfile {
        Dockerfile::Path(_) if !has_source => Err(CommandError::usage(
            "there is no Dockerfile to build: no commit is given that could have one",
        )
        .hint("give --local-dockerfile PATH, or the URL and commit of a repository")),
        Dockerfile::Contents(text) if !text.lines().map(str::trim).any(is_instruction) => {
            Err(CommandError::usage(
                "option '--local-dockerfile': the Dockerfile is empty, or all comments",
            )
            .hint("the first instruction of a Dockerfile is FROM or ARG"))
        }
        Dockerfile::Path(_) | Dockerfile::Contents(_) => Ok(()),
    }
}

/// Fails if a spec cannot be read, saying where.
pub(super) fn check_spec(path: &Path, text: &str) -> Result<(), CommandError> {
    let name = path.display().to_string();
    match Spec::parse(text.as_bytes(), &name) {
        Ok(_) => Ok(()),
        Err(error) => Err(CommandError::usage(format_args!(
            "option '--local-file': {}",
            error.report()
        ))),
    }
}
