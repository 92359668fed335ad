//! Checks of a job before it is submitted: mistakes that the worker would only find after an hour in the queue.

use std::path::Path;

use cluster_api::{Action, Description, Dockerfile};
use job_rules::{Mistake, find_mistake};
use obuilder_spec::Spec;

use cli::error::CommandError;

/// The longest hint that the scheduler keeps in full. Of longer ones it keeps a digest, which people cannot read.
const MAX_HINT_BYTES: usize = 1024;

/// The hint for workers of another version or implementation, which may accept jobs that ours refuse.
const UNCHECKED: &str = "to submit the job anyway, add --unchecked";

/// Checks a job, as far as that is possible without its source and its worker.
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
                    "'git ls-remote URL' prints the ids of all branches and tags, 'git rev-parse NAME' that of a \
                     local one",
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

/// Returns what to use instead of a repository that workers cannot fetch.
fn instead_of(repository: &str) -> Option<String> {
    let has_scheme = repository.contains("://");
    if repository.starts_with("file:") || (!has_scheme && repository.starts_with(['/', '.', '~'])) {
        let why = "workers cannot read local repositories: push the commit to a server, and give its http or https URL";
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
        format!("workers have no ssh key; if the server has https, use https://{host}/{path}")
    })
}

/// Checks that there is something to build.
fn check_dockerfile(dockerfile: &Dockerfile, has_source: bool) -> Result<(), CommandError> {
    let is_instruction = |line: &str| !line.is_empty() && !line.starts_with('#');
    match dockerfile {
        Dockerfile::Path(_) if !has_source => Err(CommandError::usage(
            "there is no Dockerfile to build, and no commit that could have one",
        )
        .hint("give --local-dockerfile PATH, or the URL and commit of a repository")),
        Dockerfile::Contents(text) if !text.lines().map(str::trim).any(is_instruction) => Err(
            CommandError::usage("option '--local-dockerfile': the Dockerfile has no instructions")
                .hint("the first instruction of a Dockerfile is FROM or ARG"),
        ),
        Dockerfile::Path(_) | Dockerfile::Contents(_) => Ok(()),
    }
}

/// Checks that a spec can be parsed.
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
