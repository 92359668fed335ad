//! The worker's own lines in a job's log: its name in the first one, and why the job failed in the last.
//!
//! A build may write anything between them, so nothing else is trusted.

/// How much of the end is kept: a few lines of normal length.
const TAIL_BYTES: usize = 4096;

/// The longest name of a worker that is recognised.
const NAME_BYTES: usize = 256;

/// How workers begin a log.
const BEGIN: &str = "Building on ";

/// How many lines before the last one BuildKit's own error is searched for: some hints may follow it.
const LINES_BEFORE: usize = 12;

/// Both ends of a log, without its middle.
#[derive(Debug, Default)]
pub(super) struct LogTail {
    begin: Vec<u8>,
    end: Vec<u8>,
}

impl LogTail {
    /// Takes in the next piece of the log.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let missing = (BEGIN.len() + NAME_BYTES).saturating_sub(self.begin.len());
        self.begin.extend(piece.iter().take(missing));
        let kept = TAIL_BYTES.saturating_sub(piece.len());
        let dropped = self.end.len().saturating_sub(kept);
        self.end.drain(..dropped);
        let skipped = piece.len().saturating_sub(TAIL_BYTES);
        self.end.extend(piece.iter().skip(skipped));
    }

    /// Returns the name of the worker, from the first line.
    pub(super) fn worker(&self) -> Option<String> {
        let begin = String::from_utf8_lossy(&self.begin);
        let (line, _) = begin.split_once('\n')?;
        Some(line.strip_prefix(BEGIN)?.to_owned())
    }

    /// Returns the exit code of the command that failed the build, if the last line has it.
    ///
    /// Docker's classic builder exits as the command did. BuildKit exits with 1, and logs the command's exit code in a
    /// line of its own.
    pub(super) fn command_exit_code(&self) -> Option<u8> {
        let end = String::from_utf8_lossy(&self.end);
        let mut lines = end.lines().rev().filter(|line| !line.is_empty());
        let last = lines.next()?;
        if let Some(of_docker) = last.strip_prefix("docker-build failed with exit-code ") {
            let of_command = lines.take(LINES_BEFORE).find_map(buildkits_exit_code);
            return of_command.or_else(|| of_docker.parse().ok());
        }
        // A step's command, as OBuilder quotes it, or a custom job's program; and not what fetched the source or pushed
        // the image.
        let (command, code) = last
            .rsplit_once(" failed with exit status ")
            .or_else(|| last.rsplit_once(" failed with exit-code "))?;
        let is_ours = ["git", "docker-", "cp "]
            .iter()
            .any(|tool| command.starts_with(tool));
        (!is_ours).then(|| code.parse().ok()).flatten()
    }
}

fn buildkits_exit_code(line: &str) -> Option<u8> {
    // What a build prints has a number before it.
    line.strip_prefix("ERROR: failed to ")
        .or_else(|| line.strip_prefix("failed to solve"))?;
    let (_, code) = line.rsplit_once("did not complete successfully: exit code: ")?;
    code.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(log: &str) -> LogTail {
        let mut tail = LogTail::default();
        for piece in log.as_bytes().chunks(1000) {
            tail.push(piece);
        }
        tail
    }

    #[test]
    fn the_last_line_has_the_exit_code_of_the_command() {
        for (end, code) in [
            ("docker-build failed with exit-code 3\n", Some(3)),
            (
                "#6 ERROR: process \"/bin/sh -c exit 7\" did not complete successfully: exit code: 7\n\
                 ERROR: failed to build: failed to solve: process \"/bin/sh -c exit 7\" did not complete successfully: \
                 exit code: 7\n\
                 \nView build details: x\n\
                 docker-build failed with exit-code 1\n",
                Some(7),
            ),
            (
                "\"/bin/sh\" \"-c\" \"exit 4\" failed with exit status 4\n",
                Some(4),
            ),
            ("/opt/run failed with exit-code 5\n", Some(5)),
            ("lint failed with exit-code 42\n", Some(42)),
            ("git-fetch failed with exit-code 128\n", None),
            ("docker-push failed with exit-code 1\n", None),
            ("\"/bin/sh\" failed with signal SIGKILL\n", None),
            (
                "docker-build failed with exit-code 1\nJob cancelled\n",
                None,
            ),
            ("", None),
        ] {
            let log = format!("Building on w1\n{}{end}", "x\n".repeat(5000));
            assert_eq!(tail(&log).command_exit_code(), code, "{end}");
        }
    }

    #[test]
    fn the_first_line_names_the_worker() {
        assert_eq!(tail("Building on w1\nx").worker(), Some("w1".to_owned()));
        assert_eq!(tail("Building on w1").worker(), None);
        assert_eq!(tail("x\nBuilding on w1\n").worker(), None);
        let long = format!("Building on {}\n", "x".repeat(1 << 20));
        assert_eq!(tail(&long).worker(), None);
        assert!(tail(&long).begin.len() + tail(&long).end.len() < 5000);
    }
}
