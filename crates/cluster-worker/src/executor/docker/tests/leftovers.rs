//! Containers of builds that have ended.

use super::*;

#[test]
fn a_build_that_was_cancelled_has_ended() {
    local(async {
        // The engine continues for a while, in several containers, beside that of another build.
        let worker = Worker::new(
            "build*) echo ${args#*--add-host } | cut -d ' ' -f 1 > host; echo Started; sleep 1000 ;;\n\
             'ps -q --no-trunc') echo other; cat one two 2> /dev/null; true ;;\n\
             inspect*one) test -e one && cat host ;;\ninspect*two) test -e two && cat host ;;\n\
             inspect*) echo another.invalid:127.0.0.1 ;;\n\
             'kill -- one') echo one >> killed; rm one ;;\n\
             'kill -- two') echo two >> killed; rm two ;;",
        );
        for container in ["one", "two"] {
            fs::write(worker.dir.path().join(container), format!("{container}\n")).unwrap();
        }
        let job = job(DockerBuild::default());
        let (ended, log) = worker.cancel_started(&job).await;
        assert_eq!(ended, Err(JobError::Cancelled));
        assert_eq!(worker.lines("killed"), 2);
        assert_eq!(log, "Started\n");
        // An engine that does not answer does not delay the job.
        let worker =
            Worker::new("build*) echo Started; sleep 1000 ;;\n'ps -q --no-trunc') exit 1 ;;");
        let (ended, log) = worker.cancel_started(&job).await;
        assert_eq!(ended, Err(JobError::Cancelled));
        expect![[r#"
            Started
            Cannot check whether the build has stopped: docker-ps failed with exit-code 1
        "#]]
        .assert_eq(&log);
        assert_eq!(worker.stats.not_stopped.get(), 1);
    });
}

#[test]
fn a_build_that_failed_leaves_no_container() {
    local(async {
        let engine = |code: &str, killed: &str| {
            format!(
                "build*) echo ${{args#*--add-host }} | cut -d ' ' -f 1 > host; exit {code} ;;\n\
                 'ps -aq --no-trunc'*) echo ours; echo another ;;\n\
                 inspect*' -- ours another')\n\
                 echo ours {killed} $(cat host); echo another true x.invalid:127.0.0.1 ;;\n\
                 'rm --force --volumes -- ours') echo >> removed ;;"
            )
        };
        let worker = Worker::new(&engine("2", "false"));
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    => Err(Failed("docker-build failed with exit-code 2", exit code 2))
                "#]],
            )
            .await;
        assert_eq!(worker.lines("removed"), 1);
        // The exit code does not matter.
        let worker = Worker::new(&engine("2", "true"));
        worker
            .check(
                &job(DockerBuild::default()),
                expect![[r#"
                    => Err(Failed("docker-build failed with exit-code 2: the kernel killed a process of it for lack
                        of memory; give this machine or the worker's service more memory, or run fewer jobs at a
                        time", exit code 2))
                "#]],
            )
            .await;
        let memory = "4GiB".parse().unwrap();
        let mut worker = Worker::new(&engine("137", "true"));
        worker.executor.limits.memory = Some(memory);
        let test = TestLog::new();
        let ended = worker
            .run(&job(DockerBuild::default()), &test, &Cancel::new())
            .await;
        assert_eq!(
            ended,
            Err(JobError::LimitReached(LimitReached::Memory(memory)))
        );
        assert_eq!(worker.lines("removed"), 1);
    });
}
