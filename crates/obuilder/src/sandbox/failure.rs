//! Messages for commands that were not started, or do not end.

use std::fs;
use std::path::Path;

use rustix::process::Pid;

use super::SandboxError;

/// Returns why a runtime did not start a command, from its log.
pub(super) fn reason(program: &Path, log: &Path, code: Option<i32>, signal: Option<i32>) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    let name = name.to_string_lossy();
    if let Some(signal) = signal {
        return format!("{name} was killed by signal {signal}");
    }
    let log = fs::read_to_string(log).unwrap_or_default();
    let Some(message) = last_error(&log) else {
        let code = code.unwrap_or_default();
        return format!("{name} exited with status {code} and no error message");
    };
    if message.contains("hybrid") {
        return format!(
            "cannot use {name}: this machine has both versions of cgroups mounted (\"hybrid\"); use --runtime runc \
             or --runtime builtin ({message})"
        );
    }
    format!("{name} cannot start the command: {}", shortened(&message))
}

/// Adds a remedy to the error of a command that was not started because its image has no bash, the default shell.
pub(super) fn with_advice(error: SandboxError) -> SandboxError {
    match error {
        SandboxError::NotStarted(why)
            if why.contains("/bin/bash") && why.to_ascii_lowercase().contains("no such file") =>
        {
            SandboxError::NotStarted(format!(
                "{why}; if the image has no bash, put its shell into the spec before this step: (shell /bin/sh -c)"
            ))
        }
        error => error,
    }
}

/// Returns the last error in a runtime's log, which has a JSON object in each line.
fn last_error(log: &str) -> Option<String> {
    log.lines().rev().find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let level = entry.get("level")?.as_str()?.to_ascii_lowercase();
        let message = entry
            .get("msg")
            .or_else(|| entry.pointer("/fields/message"))?;
        matches!(level.as_str(), "error" | "fatal").then(|| message.as_str().map(str::to_owned))?
    })
}

/// Removes the beginning of `runc`'s errors, which is always the same.
fn shortened(message: &str) -> &str {
    ["runc run failed: ", "unable to start container process: "]
        .iter()
        .fold(message, |rest, start| {
            rest.strip_prefix(start).unwrap_or(rest)
        })
}

/// Describes the remaining processes of a container that cannot be killed.
pub(super) fn state_of(runtime: Option<u32>, members: &[Pid]) -> String {
    let mut left = Vec::new();
    let runtime = runtime
        .into_iter()
        .filter_map(|pid| i32::try_from(pid).ok());
    for pid in runtime.chain(members.iter().map(|pid| pid.as_raw_pid())) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or("unknown").trim().to_owned()
        };
        left.push(format!(
            "process {pid} ({}) is in state {}",
            field("Name:"),
            field("State:")
        ));
    }
    if left.is_empty() {
        return "its control group cannot be removed".to_owned();
    }
    left.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(log: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), log).unwrap();
        reason(Path::new("/usr/sbin/runc"), file.path(), Some(1), None)
    }

    #[test]
    fn the_error_of_a_runtime_is_its_last_log_line() {
        let log = concat!(
            r#"{"level":"warning","msg":"so what","time":"2026"}"#,
            "\n",
            r#"{"level":"error","msg":"runc run failed: unable to start container process: exec: "#,
            r#"\"nonesuch\": executable file not found in $PATH","time":"2026"}"#,
            "\n",
        );
        assert_eq!(
            reason_of(log),
            r#"runc cannot start the command: exec: "nonesuch": executable file not found in $PATH"#
        );
        expect_test::expect!["runc exited with status 1 and no error message"]
            .assert_eq(&reason_of("no json\n"));
    }

    #[test]
    fn an_image_without_bash_is_explained() {
        let advised = |why: &str| with_advice(SandboxError::NotStarted(why.to_owned())).to_string();
        let bash = r#"exec: "/bin/bash": No such file or directory (os error 2)"#;
        let advice = "; if the image has no bash, put its shell into the spec before this step: (shell /bin/sh -c)";
        assert_eq!(advised(bash), format!("{bash}{advice}"));
        let other = r#"exec: "/bin/zsh": No such file or directory (os error 2)"#;
        assert!(advised(other).ends_with(other));
    }

    #[test]
    fn crun_on_a_hybrid_machine_is_explained() {
        let message = "cgroups in hybrid mode not supported, drop all controllers from cgroupv2";
        let log = format!(r#"{{"msg":"{message}","level":"error","time":"2026"}}"#);
        assert_eq!(
            reason_of(&log),
            format!(
                "cannot use runc: this machine has both versions of cgroups mounted (\"hybrid\"); use --runtime runc \
                 or --runtime builtin ({message})"
            )
        );
    }
}
