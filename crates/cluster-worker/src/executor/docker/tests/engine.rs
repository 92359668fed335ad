//! Missing engines, and engines that go down.

use super::*;

/// Examines the engine, and returns why the worker is unfit.
async fn examined(executor: &DockerExecutor) -> Option<String> {
    executor.examine().await;
    let unfit = executor.fitness().unwrap().borrow().clone();
    unfit.map(|unfit| unfit.to_string())
}

#[test]
fn an_engine_that_goes_down_makes_the_worker_unfit_until_it_is_back() {
    local(async {
        let worker = Worker::new(
            "version*) [ -e up ] && echo 26.1 && exit 0; echo 'Cannot connect to the daemon.' >&2; exit 1 ;;",
        );
        let up = worker.dir.path().join("up");
        let dead = "the Docker engine cannot be reached: Cannot connect to the daemon.";
        assert_eq!(examined(&worker.executor).await.as_deref(), Some(dead));
        fs::write(&up, "").unwrap();
        assert_eq!(examined(&worker.executor).await, None);
        fs::remove_file(&up).unwrap();
        assert_eq!(examined(&worker.executor).await.as_deref(), Some(dead));
        fs::remove_file(worker.dir.path().join("docker")).unwrap();
        let none = examined(&worker.executor).await.unwrap();
        assert!(none.starts_with("cannot run docker: "), "{none}");
    });
}

fn admit(worker: &Worker) -> Result<(), JobError> {
    let job = job(DockerBuild::default());
    worker.executor.admit(docker_build(&job), &job).map(drop)
}

#[test]
fn a_worker_with_other_kinds_of_jobs_may_lack_an_engine_but_not_lose_it() {
    local(async {
        let mut worker = Worker::new("version*) [ -e up ] && exit 0; exit 1 ;;\nbuild*) exit 1 ;;");
        worker.executor = worker.executor.optional(true);
        assert_eq!(examined(&worker.executor).await, None);
        assert_eq!(
            admit(&worker),
            Err(JobError::failed(
                "This worker builds no Dockerfiles: it has no Docker engine"
            ))
        );
        let up = worker.dir.path().join("up");
        fs::write(&up, "").unwrap();
        assert_eq!(examined(&worker.executor).await, None);
        assert_eq!(admit(&worker), Ok(()));
        fs::remove_file(&up).unwrap();
        let lost = examined(&worker.executor).await;
        assert_eq!(
            lost.as_deref(),
            Some("the Docker engine cannot be reached: docker-version failed with exit-code 1")
        );
    });
}
