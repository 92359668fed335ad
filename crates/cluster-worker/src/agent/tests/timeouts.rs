//! Jobs that exceed their time limit.

use tokio::time::Instant;

use super::*;
use crate::testing::local_with_paused_time;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_job_that_takes_longer_than_allowed_is_stopped() {
    local_with_paused_time(async {
        let cluster = Cluster::with(|config| config.job_limits.timeout = Some(LIMIT));
        let begun = Instant::now();
        let slow = cluster.scheduler.submit(&build("slow")).await;
        let quick = cluster.scheduler.submit(&build("quick")).await;
        cluster.building(2).await;
        // The other job has ended in time.
        cluster.builder.finish("quick", Ok(String::new()));
        quick.result().await.unwrap();
        let error = slow.result().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Failed: Build failed: the job was stopped: it took longer than --job-timeout=60"
        );
        assert!(begun.elapsed() >= LIMIT);
        expect![[r#"
            Building on worker-1
            Building slow
            the job was stopped: it took longer than --job-timeout=60
        "#]]
        .assert_eq(&read_log(&slow).await);
        drop((slow, quick));
        cluster.finish().await;
    });
}
