//! Docker jobs with a script for `docker`: it mocks the engine with its failures, and reports unexpected commands.
//! Other tests use a real engine.

mod engine;
mod frontends;
mod leftovers;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use cluster_api::{Action, Description, DockerBuild, Dockerfile, Secret};
use expect_test::{Expect, expect};

use super::{DockerConfig, DockerExecutor, PullPolicy};
use crate::cancel::Cancel;
use crate::disk::{FreeThreshold, Gigabytes, Percent};
use crate::executor::{Backend as _, Executor as _, NoRoom};
use crate::metrics::Stats;
use crate::outcome::{JobError, LimitReached};
use crate::process::{Environment, Processes};
use crate::testing::{TestLog, local, wrapped};

fn docker_build(job: &Description) -> &DockerBuild {
    match &job.action {
        Action::Docker(build) => build,
        other => panic!("not a Docker build: {other:?}"),
    }
}

/// A worker with a script as engine.
struct Worker {
    dir: tempfile::TempDir,
    executor: DockerExecutor,
    stats: Rc<Stats>,
}

impl Worker {
    /// `engine` is a list of shell cases. Each command must match one of them.
    fn new(engine: &str) -> Self {
        Self::with_config(engine, DockerConfig::default())
    }

    fn with_config(engine: &str, config: DockerConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        let script = dir.path().join("docker");
        let text = format!(
            "#!/bin/sh\ncd {}\nargs=\"$*\"\n\
             while [ $# -gt 0 ]; do case $1 in --iidfile) iid=$2 ;; --config) config=$2 ;; esac; shift; done\n\
             case $args in\n{engine}\n*) echo \"unexpected: docker $args\"; exit 99 ;;\nesac\n",
            dir.path().display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let config = DockerConfig {
            command: script.into(),
            ..config
        };
        let environment = Environment::default().with("PATH", "/usr/bin:/bin");
        let stats = Rc::new(Stats::new(SystemTime::UNIX_EPOCH));
        let allowed = vec!["org/staging".to_owned(), "localhost:5000/x".to_owned()];
        let mut executor = DockerExecutor::new(
            &config,
            allowed,
            dir.path(),
            environment,
            Processes::new(),
            Rc::clone(&stats),
        );
        executor.pusher.backoff = |_| Duration::ZERO;
        Self {
            dir,
            executor,
            stats,
        }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    async fn run(
        &self,
        job: &Description,
        test: &TestLog,
        cancel: &Cancel,
    ) -> Result<String, JobError> {
        let build = self.executor.admit(docker_build(job), job)?;
        build.run(&self.source(), &test.log, cancel).await
    }

    /// Cancels a job when its log has `Started`, and returns its result and its log.
    async fn cancel_started(&self, job: &Description) -> (Result<String, JobError>, String) {
        let (test, cancel) = (TestLog::new(), Cancel::new());
        let cancelling = async {
            while !test.text().contains("Started") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(self.run(job, &test, &cancel), cancelling);
        (ended, test.text())
    }

    /// Runs a job, and compares the log and, as its last line, the result.
    async fn check(&self, job: &Description, expected: Expect) {
        let test = TestLog::new();
        let result = self.run(job, &test, &Cancel::new()).await;
        test.log
            .line(format_args!("=> {}", shown(&result)))
            .unwrap();
        let dir = self.dir.path().to_str().unwrap();
        expected.assert_eq(&wrapped(&without_time(&test.text()).replace(dir, "DIR")));
        let left: Vec<_> = fs::read_dir(self.dir.path().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn lines(&self, file: &str) -> usize {
        fs::read_to_string(self.dir.path().join(file))
            .unwrap_or_default()
            .lines()
            .count()
    }
}

/// Shows a result, with the exit code if there is one.
fn shown(result: &Result<String, JobError>) -> String {
    match result {
        Err(JobError::Failed { reason, exit_code }) => {
            let code = exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
            format!("Err(Failed({reason:?}{code}))")
        }
        result => format!("{result:?}"),
    }
}

/// Returns a log without the time that pulling took.
fn without_time(log: &str) -> String {
    let line = |line: &str| match line.split_once("\" in ") {
        Some((start, _)) if start.starts_with("Pulled ") => format!("{start}\" in TIME\n"),
        _ => line.to_owned(),
    };
    log.split_inclusive('\n').map(line).collect()
}

fn job(build: DockerBuild) -> Description {
    Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents("FROM x\n".into()),
        ..build
    }))
}

fn push(target: &str) -> DockerBuild {
    DockerBuild {
        push_target: target.into(),
        ..DockerBuild::default()
    }
}

const BUILD: &str = "build*) echo sha256:1234 > $iid ;;";

#[test]
fn a_build_that_must_not_pull() {
    let config = || DockerConfig {
        pull: PullPolicy::Never,
        ..DockerConfig::default()
    };
    local(async {
        let worker = Worker::with_config(
            "'image inspect -f {{.Id}} -- x') echo sha256:1 ;;\n\
             'image inspect -f {{ range'*) ;;\n\
             'build --add-host '*) echo Step 1 ;;",
            config(),
        );
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    Step 1
                    => Ok("")
                "#]],
            )
            .await;
        let worker = Worker::with_config(
            "image*) exit 1 ;;\n'info -f {{.DockerRootDir}}') echo /docker ;;",
            config(),
        );
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    => Err(Failed("image \"x\" is not present on this worker, which has --docker-pull=never"))
                "#]],
            )
            .await;
        let worker = Worker::with_config("*) exit 1 ;;", config());
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    => Err(Failed("docker-info failed with exit-code 1"))
                "#]],
            )
            .await;
    });
}

#[test]
fn a_build() {
    local(async {
        let worker = Worker::new(
            "'build --pull --add-host '*) echo Step 1; cat source/Dockerfile; env | grep BUILDKIT || true ;;",
        );
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    Step 1
                    FROM x
                    => Ok("")
                "#]],
            )
            .await;
        let worker = Worker::new("build*) echo no such image >&2; exit 1 ;;");
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    no such image
                    => Err(Failed("docker-build failed with exit-code 1", exit code 1))
                "#]],
            )
            .await;
    });
}

#[test]
fn the_exit_code_of_buildkit_is_not_that_of_the_command() {
    local(async {
        // The job did not ask for BuildKit; it is the default of this `docker`.
        let worker = Worker::new(
            "build*) echo ERROR: failed to solve: RUN did not complete successfully: exit code: 7; exit 1 ;;",
        );
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    ERROR: failed to solve: RUN did not complete successfully: exit code: 7
                    => Err(Failed("docker-build failed with exit-code 1"))
                "#]],
            )
            .await;
    });
}

#[test]
fn a_machine_without_a_registry_does_not_pull() {
    local(async {
        let config = DockerConfig {
            pull: PullPolicy::Missing,
            ..DockerConfig::default()
        };
        let worker = Worker::with_config(
            "'build --add-host '*) ;;\n'image inspect -f {{ range'*) ;;",
            config,
        );
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    => Ok("")
                "#]],
            )
            .await;
    });
}

#[test]
fn secrets_are_in_files_during_the_build() {
    local(async {
        let worker = Worker::new(
            "'build --secret id=token,src='*) file=${args#*src=}; file=${file%% *}\n\
             stat -c %a $file; sha1sum < $file; env | grep BUILDKIT ;;",
        );
        let mut job = job(DockerBuild {
            buildkit: true,
            ..DockerBuild::default()
        });
        job.secrets = vec![Secret {
            id: "token".into(),
            value: "s3cret".into(),
        }];
        worker
            .check(
                &job,
                expect![[r#"
            600
            fef341f85d87439e7d91a2d465b9871ef66b5e98  -
            DOCKER_BUILDKIT=1
            => Ok("")
        "#]],
            )
            .await;
    });
}

#[test]
fn invalid_jobs_are_refused() {
    local(async {
        let worker = Worker::new("");
        let with_secret = |id: &str, buildkit| {
            let mut job = job(DockerBuild {
                buildkit,
                ..DockerBuild::default()
            });
            job.secrets = vec![Secret {
                id: id.into(),
                value: "s3cret".into(),
            }];
            job
        };
        worker
            .check(
                &with_secret("token", false),
                expect![[r#"
                => Err(Failed("secrets need BuildKit: submit the job with --buildkit"))
            "#]],
            )
            .await;
        worker
            .check(&with_secret("a,src=/etc/shadow", true), expect![[r#"
                => Err(Failed("secret id \"a,src=/etc/shadow\" is not allowed: use 1 to 64 letters, digits and
                    _ . -"))
            "#]])
            .await;
        worker
            .check(
                &with_secret("", true),
                expect![[r#"
            => Err(Failed("secret id \"\" is not allowed: use 1 to 64 letters, digits and _ . -"))
        "#]],
            )
            .await;
        let build = DockerBuild {
            build_args: vec!["A=1".into(), "DOCKER_AUTH_CONFIG".into()],
            ..DockerBuild::default()
        };
        worker.check(&job(build), expect![[r#"
            => Err(Failed("build argument \"DOCKER_AUTH_CONFIG\" has no value: write NAME=VALUE, as a build
                does not see the worker's environment"))
        "#]]).await;
        let path = Dockerfile::Path("../Dockerfile".into());
        let build = DockerBuild {
            dockerfile: path,
            ..DockerBuild::default()
        };
        worker
            .check(
                &Description::new(Action::Docker(build)),
                expect![[r#"
                => Err(Failed("Relative segment in ../Dockerfile"))
            "#]],
            )
            .await;
        worker
            .check(&job(push("org/production:v1")), expect![[r#"
                => Err(Failed("To allow pushing to this repository, start the worker with --allow-push
                    \"org/production\""))
            "#]])
            .await;
    });
}

#[test]
fn a_push() {
    local(async {
        let worker = Worker::new(&format!(
            "{BUILD}\n\
             '--config '*' login --password-stdin --username bob -- localhost:5000')\n\
             echo Login with $(sha1sum); touch $config/login ;;\n\
             '--config '*' tag -- sha256:1234 localhost:5000/x:v1') ;;\n\
             '--config '*' push -- localhost:5000/x:v1') ls $config; echo pushed; echo >> pushes ;;\n\
             'image inspect -f '*' -- localhost:5000/x:v1') echo org/y@sha256:1 localhost:5000/x@sha256:2 ;;"
        ));
        let build = DockerBuild {
            push_user: "bob".into(),
            push_password: "s3cret".to_owned().into(),
            ..push("localhost:5000/x:v1")
        };
        worker
            .check(
                &job(build),
                expect![[r#"
            Pushing "sha256:1234" to "localhost:5000/x:v1" as user "bob"
            Login with fef341f85d87439e7d91a2d465b9871ef66b5e98 -
            login
            pushed
            => Ok("localhost:5000/x@sha256:2")
        "#]],
            )
            .await;
        assert_eq!(worker.lines("pushes"), 1, "once is enough");
        assert!(
            worker
                .stats
                .text(&crate::metrics::Reading::default())
                .contains("docker_push_time_seconds_count 1\n")
        );
    });
}

/// Runs a job that pushes to `org/staging:v1`, with this engine, and returns how often it pushed.
fn failed_push(engine: &str, login: Option<(&str, &str)>, expected: Expect) -> usize {
    let (user, password) = login.unwrap_or_default();
    let build = DockerBuild {
        push_user: user.into(),
        push_password: password.to_owned().into(),
        ..push("org/staging:v1")
    };
    local(async {
        let worker = Worker::new(&format!("{BUILD}\n{engine}"));
        worker.check(&job(build), expected).await;
        worker.lines("pushes")
    })
}

#[test]
fn pushes_that_fail_permanently_are_not_retried() {
    failed_push(
        "*' login '*) echo unauthorized; exit 1 ;;",
        Some(("bob", "s3cret")),
        expect![[r#"
            Pushing "sha256:1234" to "org/staging:v1" as user "bob"
            unauthorized
            => Err(Failed("Failed to docker-login as \"bob\""))
        "#]],
    );
    let pushes = failed_push(
        "*' tag '*) ;;\n*' push '*) echo >> pushes; echo 'denied: no access'; exit 1 ;;",
        None,
        expect![[r#"
            Pushing "sha256:1234" to "org/staging:v1"
            denied: no access
            => Err(Failed("docker-push failed with exit-code 1"))
        "#]],
    );
    assert_eq!(pushes, 1, "trying again would not help");
    failed_push(
        "*' tag '*) ;;\n*' push '*) ;;\n*inspect*) exit 1 ;;",
        None,
        expect![[r#"
            Pushing "sha256:1234" to "org/staging:v1"
            => Err(Failed("Failed to read RepoDigests for newly-pushed image!"))
        "#]],
    );
}

#[test]
fn other_failed_pushes_are_retried() {
    let pushes = failed_push(
        "*' tag '*) ;;\n*' push '*) echo >> pushes; exit 1 ;;",
        None,
        expect![[r#"
            Pushing "sha256:1234" to "org/staging:v1"
            Push attempt 1/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            Push attempt 2/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            Push attempt 3/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            Push attempt 4/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            Push attempt 5/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            => Err(Failed("Push exhausted retries after 6 attempts: docker-push failed with exit-code 1"))
        "#]],
    );
    assert_eq!(pushes, 6);
    failed_push(
        "*' tag '*) ;;\n*' push '*) echo >> pushes; [ $(wc -l < pushes) = 3 ] ;;\n\
         *inspect*) echo other/x@sha256:1 ;;",
        None,
        expect![[r#"
            Pushing "sha256:1234" to "org/staging:v1"
            Push attempt 1/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            Push attempt 2/6 failed with retryable error "docker-push failed with exit-code 1". Retrying in
                0 seconds...
            => Err(Failed("Can't find target repository 'org/staging@…' in list \"other/x@sha256:1\"!"))
        "#]],
    );
}

#[test]
fn cancelling_ends_the_wait_for_a_retry() {
    local(async {
        let mut worker = Worker::new(&format!("{BUILD}\n*' tag '*) ;;\n*' push '*) exit 1 ;;"));
        worker.executor.pusher.backoff = |_| Duration::from_secs(100_000);
        let (test, cancel) = (TestLog::new(), Cancel::new());
        let cancelled = async {
            while !test.text().contains("Retrying in 100000 seconds...\n") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let job = job(push("org/staging:v1"));
        let (result, ()) = tokio::join!(worker.run(&job, &test, &cancel), cancelled);
        assert_eq!(result, Err(JobError::Cancelled));
    });
}

#[test]
fn retries_of_pushes_are_delayed_as_upstream() {
    let seconds: Vec<_> = (1..=5)
        .map(|n| super::pusher::backoff(n).as_secs())
        .collect();
    assert_eq!(seconds, [4, 16, 48, 128, 320]);
}

#[test]
fn low_disk_space_is_noticed_and_pruned() {
    local(async {
        let engine = "'system df'*) cat size; echo 9GB; echo 0.5GB; echo >> asked ;;\n\
                      'system prune -af') printf '1MB\\\\n0B\\\\n' > size; echo >> pruned ;;\n\
                      'builder prune -af') echo >> pruned ;;";
        let config = DockerConfig {
            max_df_size: Gigabytes::new(2.0),
            ..DockerConfig::default()
        };
        let worker = Worker::with_config(engine, config.clone());
        let size = worker.dir.path().join("size");
        // Each of them is within the limit.
        fs::write(&size, "0.5GB\n1.2GB\n").unwrap();
        assert!(!worker.executor.has_room().await);
        assert!(!worker.executor.has_room().await);
        assert_eq!(worker.lines("asked"), 1, "an answer serves for a while");
        assert_eq!(worker.executor.make_room().await, Ok(()));
        assert_eq!(worker.lines("pruned"), 2);
        assert!(worker.executor.has_room().await);

        // If that was not enough, or if there is no engine, this is an error.
        let worker = Worker::with_config("'system df'*) echo 3GB ;;\n*prune*) ;;", config.clone());
        assert_eq!(worker.executor.make_room().await, Err(NoRoom::StillLow));
        let worker = Worker::with_config("", config);
        assert_eq!(worker.executor.make_room().await, Err(NoRoom::PruneFailed));
        assert!(
            worker.executor.has_room().await,
            "an engine that fails is not a full disk"
        );
    });
}

#[test]
fn free_space_is_measured_on_the_engines_disk() {
    local(async {
        let threshold = |percent| DockerConfig {
            prune_threshold: Percent::new(percent).map(FreeThreshold::Percent),
            ..DockerConfig::default()
        };
        let worker = Worker::with_config("'info -f {{.DockerRootDir}}') pwd ;;", threshold(0.0));
        assert!(worker.executor.has_room().await);
        // No disk is completely empty.
        let worker = Worker::with_config("'info -f {{.DockerRootDir}}') pwd ;;", threshold(100.0));
        assert!(!worker.executor.has_room().await);
        let worker = Worker::with_config("", DockerConfig::default());
        assert!(
            worker.executor.has_room().await,
            "without limits, the engine is not asked"
        );
    });
}

#[test]
fn images_must_be_named_by_name_if_jobs_share_them() {
    local(async {
        let config = |pull| DockerConfig {
            pull,
            ..DockerConfig::default()
        };
        let with = |dockerfile: &str| {
            Description::new(Action::Docker(DockerBuild {
                dockerfile: Dockerfile::Contents(dockerfile.into()),
                ..DockerBuild::default()
            }))
        };
        let engine = "build*) echo Step 1 ;;\n'image inspect'*' -- trap') echo 'COPY --from=419a /a /a' ;;\n\
             'image inspect'*' -- new') cat pulled 2> /dev/null ;;\n'image inspect'*) ;;\n\
             'pull -- new') echo Pulling; echo 'RUN true' > pulled ;;";
        for dockerfile in [
            "FROM 419a",
            "FROM x\nCOPY --from=sha256:419a / /",
            "FROM trap",
        ] {
            for pull in [PullPolicy::Missing, PullPolicy::Never] {
                let worker = Worker::with_config(engine, config(pull));
                let test = TestLog::new();
                let ended = worker.run(&with(dockerfile), &test, &Cancel::new()).await;
                let error = ended.expect_err(dockerfile).to_string();
                assert!(error.contains("may be another job's"), "{error}");
                assert_eq!(test.text(), "", "{dockerfile}");
            }
        }
        // If each build pulls, it is the name of an image in a registry.
        let worker = Worker::with_config(engine, config(PullPolicy::Always));
        worker
            .check(
                &with("FROM 419a"),
                expect![[r#"
                    Step 1
                    => Ok("")
                "#]],
            )
            .await;
        // An image that is not present is pulled first.
        let worker = Worker::with_config(engine, config(PullPolicy::Missing));
        worker
            .check(
                &with("FROM new"),
                expect![[r#"
                    Pulling the base image "new"
                    Pulling
                    Pulled the base image "new" in TIME
                    Step 1
                    => Ok("")
                "#]],
            )
            .await;
    });
}

/// An engine that prints the Dockerfile that it gets, and the first line of the one in the source.
const SHOWS_DOCKERFILES: &str =
    "build*) cat $(echo $args | sed 's/.* -f \\([^ ]*\\) .*/\\1/'); head -1 source/Dockerfile ;;";

/// A Dockerfile that names a frontend of its own.
const OTHER_FRONTEND: &str = "# syntax=evil/front\nFROM x\n";
