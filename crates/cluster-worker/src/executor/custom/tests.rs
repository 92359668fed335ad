//! Custom jobs with real programs: their input, environment and result, and their descendants.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use cluster_api::{Action, CustomJob, CustomPayload, Description, Secret};
use expect_test::{Expect, expect};

use super::{
    CustomCommand, CustomError, CustomExecutor, CustomExecutors, CustomJobs, CustomUser,
    CustomUserError, Executor as _, RunningJob, Tools,
};
use crate::cancel::Cancel;
use crate::job_limits::JobGroups;
use crate::outcome::JobError;
use crate::process::{Environment, Processes};
use crate::testing::{TestLog, local};

fn environment() -> Environment {
    Environment::default().with("PATH", "/usr/bin:/bin")
}

/// A worker's custom jobs, with the log and the source of one, and a state directory.
pub(super) struct Bench {
    jobs: CustomJobs,
    pub(super) log: TestLog,
    source: tempfile::TempDir,
    state_dir: tempfile::TempDir,
}

impl Bench {
    /// This script runs jobs of the kind `try`.
    pub(super) fn script(script: &str) -> Self {
        let quoted = script.replace('\'', r"'\''");
        Self::command(&format!("try=sh -c '{quoted}'"))
    }

    fn command(command: &str) -> Self {
        let mut kinds = CustomExecutors::default();
        kinds
            .add_command(command.parse().unwrap(), &environment())
            .unwrap();
        Self::new(kinds)
    }

    fn new(kinds: CustomExecutors) -> Self {
        Self::with(kinds, None, None)
    }

    fn with_user(kinds: CustomExecutors, user: CustomUser) -> Self {
        Self::with(kinds, Some(user), None)
    }

    /// This script runs jobs of the kind `try`, each in a group of its own.
    pub(super) fn script_in_groups(script: &str, groups: JobGroups) -> Self {
        let mut kinds = CustomExecutors::default();
        let quoted = script.replace('\'', r"'\''");
        let command = format!("try=sh -c '{quoted}'").parse().unwrap();
        kinds.add_command(command, &environment()).unwrap();
        Self::with(kinds, None, Some(groups))
    }

    fn with(kinds: CustomExecutors, user: Option<CustomUser>, groups: Option<JobGroups>) -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        for dir in ["tmp", "git", "git-home", "log"] {
            fs::create_dir(state_dir.path().join(dir)).unwrap();
        }
        if let Some(user) = &user {
            user.prepare(state_dir.path(), &environment()).unwrap();
        }
        let tools = Tools::new(
            state_dir.path(),
            environment(),
            Processes::new(),
            user,
            groups,
        );
        Self {
            jobs: CustomJobs::new(kinds, tools),
            log: TestLog::new(),
            source: tempfile::tempdir().unwrap(),
            state_dir,
        }
    }

    pub(super) async fn run(&self, job: &Description) -> Result<String, JobError> {
        let source = self.source.path();
        let result = self.run_in(source, job, &Cancel::new()).await;
        let left: Vec<_> = fs::read_dir(self.state_dir.path().join("tmp"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
        result
    }

    async fn run_in(
        &self,
        source: &Path,
        job: &Description,
        cancel: &Cancel,
    ) -> Result<String, JobError> {
        let Action::Custom(custom) = &job.action else {
            panic!("not a custom job: {job:?}")
        };
        let build = self.jobs.admit(custom, job)?;
        build.run(source, &self.log.log, cancel).await
    }
}

fn job(payload: CustomPayload) -> Description {
    Description::new(Action::Custom(CustomJob {
        kind: "try".into(),
        payload,
    }))
}

pub(super) fn text(text: &str) -> Description {
    job(CustomPayload::from_text(text).unwrap())
}

/// Runs a script with a payload, and compares the log and the result.
fn check(script: &str, job: &Description, expected: Expect) {
    local(async {
        let bench = Bench::script(script);
        let end = match bench.run(job).await {
            Ok(result) => format!("result {result:?}"),
            Err(error) => format!("error: {error}"),
        };
        let log = bench.log.text();
        let log = log.replace(&bench.source.path().display().to_string(), "SOURCE");
        expected.assert_eq(&format!("{log}{end}\n"));
    });
}

#[test]
fn a_program_reads_the_payload_and_works_in_the_source() {
    check(
        "cat; echo; pwd; echo problem >&2; \
         echo $OCLUSTER_CUSTOM_KIND, $OCLUSTER_CUSTOM_PAYLOAD, $OCLUSTER_CUSTOM_CACHE_HINT, $OCLUSTER_CUSTOM_COMMITS.",
        &Description {
            cache_hint: "a hint".into(),
            commits: vec!["c1".into(), "c2".into()],
            ..text("the payload")
        },
        expect![[r#"
            the payload
            SOURCE
            problem
            try, bytes, a hint, c1 c2.
            result ""
        "#]],
    );
}

#[test]
fn a_payload_of_another_type_is_a_message() {
    // A struct of one data word.
    let payload = [[0, 0, 0, 0, 1, 0, 0, 0], [42; 8]].concat();
    check(
        "od -An -tx1; echo $OCLUSTER_CUSTOM_PAYLOAD",
        &job(CustomPayload::from_bytes(&payload).unwrap()),
        expect![[r#"
             00 00 00 00 02 00 00 00 00 00 00 00 01 00 00 00
             2a 2a 2a 2a 2a 2a 2a 2a
            message
            result ""
        "#]],
    );
    check(
        "wc -c; echo $OCLUSTER_CUSTOM_PAYLOAD",
        &job(CustomPayload::default()),
        expect![[r#"
            0
            bytes
            result ""
        "#]],
    );
}

#[test]
fn the_result_is_read_from_a_file() {
    let job = text("");
    let left = |script: &str, expected: Expect| check(script, &job, expected);
    left(
        "echo v1 > $OCLUSTER_CUSTOM_RESULT; echo v2 >> $OCLUSTER_CUSTOM_RESULT",
        expect![[r#"
            result "v1\nv2"
        "#]],
    );
    left(
        "ln -s /etc/passwd $OCLUSTER_CUSTOM_RESULT",
        expect![[r#"
            error: cannot read the result of try: Too many levels of symbolic links (os error 40)
        "#]],
    );
    left(
        "mkfifo $OCLUSTER_CUSTOM_RESULT",
        expect![[r#"
            error: cannot read the result of try: it is not a regular file
        "#]],
    );
    left(
        "head -c 65537 /dev/zero > $OCLUSTER_CUSTOM_RESULT",
        expect![[r#"
            error: cannot read the result of try: it has more than 65536 bytes
        "#]],
    );
    left(
        r"printf '\377' > $OCLUSTER_CUSTOM_RESULT",
        expect![[r#"
            error: cannot read the result of try: it is not UTF-8
        "#]],
    );
}

#[test]
fn the_log_shows_how_a_program_failed() {
    let job = text("");
    let check_failure = |script: &str, expected: Expect| check(script, &job, expected);
    check_failure(
        "echo v1 > $OCLUSTER_CUSTOM_RESULT; echo no; exit 3",
        expect![[r#"
            no
            error: try failed with exit-code 3
        "#]],
    );
    check_failure(
        "kill -KILL $$",
        expect![[r#"
            error: try failed with signal SIGKILL
        "#]],
    );
}

#[test]
fn a_large_payload_need_not_be_read() {
    let large = CustomPayload::from_data(&vec![b'x'; 7 << 20]).unwrap();
    let job = job(large);
    check(
        "wc -c",
        &job,
        expect![[r#"
            7340032
            result ""
        "#]],
    );
    check(
        "true",
        &job,
        expect![[r#"
            result ""
        "#]],
    );
    check(
        "exec <&-; echo closed; sleep 0.1; echo on",
        &job,
        expect![[r#"
            closed
            on
            result ""
        "#]],
    );
}

#[test]
fn secrets_are_files_in_memory_while_it_runs() {
    let secret = |id: &str, value: &str| Secret {
        id: id.into(),
        value: value.into(),
    };
    let job = Description {
        secrets: vec![secret("token", "s3cret"), secret("key.pem", "k3y")],
        ..text("")
    };
    local(async {
        let script = "cd $OCLUSTER_CUSTOM_SECRETS; stat -f -c %T .; ls; cat token >&2; echo; \
                      echo $OCLUSTER_CUSTOM_SECRETS > $OCLUSTER_CUSTOM_RESULT; env | grep -c s3cret";
        let bench = Bench::script(&format!("{script}; true"));
        let dir = bench.run(&job).await.unwrap();
        expect![[r#"
            tmpfs
            key.pem
            token
            s3cret
            0
        "#]]
        .assert_eq(&bench.log.text());
        assert!(dir.starts_with('/') && !Path::new(&dir).exists(), "{dir}");
    });
    let twice = Description {
        secrets: vec![secret("../token", "s3cret")],
        ..text("")
    };
    check(
        "true",
        &twice,
        expect![[r#"
            error: secret id "../token" is not allowed: use 1 to 64 letters, digits and _ . -, and no dot at the start
        "#]],
    );
    check(
        "echo ${OCLUSTER_CUSTOM_SECRETS-none}",
        &text(""),
        expect![[r#"
            none
            result ""
        "#]],
    );
}

#[test]
fn a_value_that_no_variable_can_hold_fails_only_the_job() {
    let job = Description {
        cache_hint: "a\0b".into(),
        ..text("")
    };
    check(
        "true",
        &job,
        expect![[r#"
            error: cannot run "/usr/bin/sh" for try: nul byte found in provided data
        "#]],
    );
}

#[test]
fn the_program_does_not_depend_on_the_source() {
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("try it");
        fs::write(&program, "#!/bin/sh\necho ours: \"$@\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let bench = Bench::command(&format!("try='{}' 'a  b' \"c\"", program.display()));
        bench.run(&text("")).await.unwrap();
        assert_eq!(bench.log.text(), "ours: a  b c\n");
        // A relative path is relative to the worker's directory, not to the source.
        let parsed: CustomCommand = "try=./nosuch".parse().unwrap();
        let mut kinds = CustomExecutors::default();
        let error = kinds.add_command(parsed, &environment()).unwrap_err();
        let reason = "it is not an executable file";
        let expected = CustomError::NoProgram {
            kind: "try".into(),
            program: "./nosuch".into(),
            reason,
        };
        assert_eq!(error, expected);
    });
}

#[test]
fn invalid_kinds_and_commands_are_refused() {
    let mut shown = String::new();
    let mut kinds = CustomExecutors::default();
    for text in [
        "try",
        "=true",
        " try=true",
        "t\ny=true",
        "try=",
        "try=sh 'a",
        "try=nosuch-program",
        "try=/etc/passwd",
        "try=true",
        "try=false",
    ] {
        let added = text
            .parse()
            .and_then(|command: CustomCommand| kinds.add_command(command, &environment()));
        match added {
            Ok(()) => shown += "ok\n",
            Err(error) => shown += &format!("{error}\n"),
        }
    }
    expect![[r#"
        invalid value "try": it must be KIND=COMMAND
        invalid kind of job "": it must have 1 to 100 bytes, no spaces at its ends, and no control characters or '='
        invalid kind of job " try": it must have 1 to 100 bytes, no spaces at its ends, and no control characters or '='
        invalid kind of job "t\ny": it must have 1 to 100 bytes, no spaces at its ends, and no control characters or '='
        the kind of job "try" has no command
        a quote is not closed in the command "sh 'a"
        the kind of job "try" cannot run "nosuch-program": no such program in PATH
        the kind of job "try" cannot run "/etc/passwd": it is not an executable file
        ok
        the kind of job "try" is given twice; give each kind once
    "#]]
    .assert_eq(&shown);
}

/// Runs the payload as a script, with the methods for executors.
struct Script;

impl CustomExecutor for Script {
    fn admit(&self, job: &CustomJob, _description: &Description) -> Result<(), JobError> {
        let script = job.payload.to_text();
        script
            .map(drop)
            .ok_or_else(|| JobError::failed("no script"))
    }

    async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
        let script = job.payload.to_text().unwrap_or_default();
        job.log.line("Running the script")?;
        let command = job.command("sh", ["-c", &script]);
        job.run(&command.clone().with_var("WAY", "log")).await?;
        let answer = job.command("sh", ["-s"]).reading(script);
        job.ask(&answer.with_var("WAY", "answer")).await
    }
}

fn scripts() -> Bench {
    let mut kinds = CustomExecutors::default();
    kinds.add("try", Script).unwrap();
    kinds.add("other", Script).unwrap();
    Bench::new(kinds)
}

#[test]
fn executors_in_rust_can_run_programs() {
    local(async {
        let bench = scripts();
        let result = bench.run(&text("echo $WAY; pwd")).await.unwrap();
        let source = bench.source.path().display();
        assert_eq!(result, format!("answer\n{source}\n"));
        let log = format!("Running the script\nlog\n{source}\n");
        assert_eq!(bench.log.text(), log);
        let error = bench.run(&text("exit 7")).await.unwrap_err();
        assert_eq!(
            error,
            JobError::command_failed("sh failed with exit-code 7", Some(7))
        );
        let error = bench.run(&job(CustomPayload::default())).await;
        assert_eq!(error, Err(JobError::failed("no script")));
    });
}

#[test]
fn an_unknown_kind_is_refused_with_the_known_ones() {
    local(async {
        let mut job = text("");
        let Action::Custom(custom) = &mut job.action else {
            panic!("{job:?}")
        };
        custom.kind = "no\u{1b}such".into();
        let error = scripts().run(&job).await.unwrap_err();
        let expected =
            "Unsupported custom job \"no\\u{1b}such\": this worker runs \"other\", \"try\"";
        assert_eq!(error, JobError::failed(expected));
        let none = Bench::new(CustomExecutors::default());
        let error = none.run(&job).await.unwrap_err();
        assert_eq!(error, JobError::failed("Unsupported custom job"));
    });
}

/// Waits until a script has written the id of a process, and returns it.
async fn process_id(file: &Path) -> String {
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

fn is_running(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nothing_that_a_program_starts_outlives_it() {
    // In a session of its own; it ignores signals and closes the job's output.
    let survivor = "setsid sh -c 'trap \"\" HUP INT TERM; echo $$ > survivor; while :; do sleep 1000; done' \
                    > /dev/null 2>&1 < /dev/null &";
    local(async {
        let bench = Bench::script(&format!(
            "{survivor} while ! [ -s survivor ]; do sleep 0.01; done; $(cat)"
        ));
        let file = bench.source.path().join("survivor");
        bench.run(&text("true")).await.unwrap();
        assert!(!is_running(&process_id(&file).await));
        fs::remove_file(&file).unwrap();
        bench.run(&text("exit 3")).await.unwrap_err();
        assert!(!is_running(&process_id(&file).await));
        fs::remove_file(&file).unwrap();
        let (job, cancel) = (text("sleep 1000"), Cancel::new());
        let running = bench.run_in(bench.source.path(), &job, &cancel);
        let cancelling = async {
            let process = process_id(&file).await;
            assert!(is_running(&process));
            cancel.cancel();
            process
        };
        let (ended, process) = tokio::join!(running, cancelling);
        assert_eq!(ended, Err(JobError::Cancelled));
        assert!(!is_running(&process));
    });
}

#[test]
fn a_program_inherits_no_open_files() {
    let file = tempfile::tempfile().unwrap();
    // As a shell or a library may leave it open.
    let open = nix::unistd::dup(std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
    check(
        "ls -l /proc/self/fd | grep -c deleted; true",
        &text(""),
        expect![[r#"
            0
            result ""
        "#]],
    );
    nix::unistd::close(open).unwrap();
}

#[test]
fn programs_can_run_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: programs_can_run_as_another_user: needs root");
        return;
    }
    let script = "id -un; echo $HOME; cat $OCLUSTER_CUSTOM_SECRETS/token | wc -c; cat given; \
                  echo new > new && mkdir dir; \
                  cat /proc/$PPID/environ /proc/$PPID/maps 2>&1 | grep -c denied; \
                  ls .. 2>&1 | grep -c denied; ls ../../git 2>&1 | grep -c denied; echo done > $OCLUSTER_CUSTOM_RESULT";
    let mut kinds = CustomExecutors::default();
    let quoted = script.replace('\'', r"'\''");
    let command = format!("try=sh -c '{quoted}'");
    kinds
        .add_command(command.parse().unwrap(), &environment())
        .unwrap();
    let mut job = text("");
    job.secrets = vec![Secret {
        id: "token".into(),
        value: "s3cret".into(),
    }];
    local(async {
        let user: CustomUser = "nobody".parse().unwrap();
        let mut bench = Bench::with_user(kinds, user);
        bench.source = tempfile::tempdir_in(bench.state_dir.path().join("tmp")).unwrap();
        fs::write(bench.source.path().join("given"), "given\n").unwrap();
        let source = bench.source.path();
        let result = bench.run_in(source, &job, &Cancel::new()).await;
        expect![[r#"
            nobody
            /nonexistent
            6
            given
            2
            1
            1
        "#]]
        .assert_eq(&bench.log.text());
        assert_eq!(result.as_deref(), Ok("done"));
        assert!(source.join("dir").is_dir());
    });
    assert_eq!("root".parse::<CustomUser>(), Err(CustomUserError::Root));
    let error = "no such user".parse::<CustomUser>().unwrap_err();
    expect![[r#"cannot find user "no such user": create it, or name another"#]]
        .assert_eq(&error.to_string());
}
