//! Secrets and jobs' logs.

use super::*;

/// Returns a job that prints this, with this secret.
fn job(text: &str, value: &str) -> Description {
    let mut job = build(text);
    job.secrets = vec![Secret {
        id: "token".into(),
        value: value.into(),
    }];
    job
}

#[test]
fn a_secret_is_neither_in_the_log_nor_in_the_reason_of_a_failure() {
    local(async {
        let cluster = Cluster::new();
        let text = "with hunter22, as aHVudGVyMjI= and hunter2";
        let served = cluster.scheduler.submit(&job(text, "hunter22\n")).await;
        let reason = JobError::failed("no user hunter22 at https://x:hunter22@host");
        cluster.builder.finish(text, Err(reason));
        expect![[r#"
            Building on worker-1
            Building with ***, as *** and hunter2
            no user *** at https://x:***@host
        "#]]
        .assert_eq(&read_log(&served).await);
        drop(served);
        let text = "1234 is no secret";
        let served = cluster.scheduler.submit(&job(text, "1234")).await;
        cluster.builder.finish(text, Ok(String::new()));
        expect![[r#"
            Building on worker-1
            Secrets of fewer than 5 bytes are not redacted in this log
            Building 1234 is no secret
            Job succeeded
        "#]]
        .assert_eq(&read_log(&served).await);
        drop(served);
        cluster.finish().await;
    });
}
