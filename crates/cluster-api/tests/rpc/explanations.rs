//! Why jobs wait: each value on the wire is the same on the other side, and peers that do not know it still answer.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    Admin, DurableDetails, DurableJob, DurableLogChunk, DurableStatus, Explanation, Forecast,
    MAX_TICKETS, PoolAdmin, PoolDetails, PoolExplanations, RpcError, RpcErrorKind, ServeAdmin,
    ServeDurableJob, ServeExplained, ServePoolAdmin, Submission, Worker, WorkerDetails, WorkerInfo,
};

use crate::admin::FakeAdmin;
use crate::support::{Events, run, through_connection};

fn explanation(text: &str) -> Explanation {
    Explanation {
        kind: "busy".to_owned(),
        text: text.to_owned(),
        ahead: 7,
        urgent_ahead: 2,
        own_ahead: 3,
        forecast: Some(Forecast {
            start: (Duration::from_millis(1_500), Duration::from_secs(20)),
            end: (Duration::from_secs(30), Duration::from_secs(600)),
        }),
    }
}

struct Explains;

impl ServeExplained for Explains {
    async fn explain(self: Rc<Self>) -> Result<Explanation, RpcError> {
        Ok(explanation("the job"))
    }
}

fn unused<T>() -> Result<T, RpcError> {
    Err(RpcError::failed("not here"))
}

impl ServeDurableJob for Explains {
    async fn watch(self: Rc<Self>, _: Option<u64>) -> Result<DurableStatus, RpcError> {
        unused()
    }

    async fn log(self: Rc<Self>, _: u32, _: u64) -> Result<DurableLogChunk, RpcError> {
        unused()
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        unused()
    }

    async fn retry(
        self: Rc<Self>,
        _: Option<String>,
        _: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        unused()
    }

    async fn share(self: Rc<Self>) -> Result<String, RpcError> {
        unused()
    }

    async fn describe(self: Rc<Self>) -> Result<DurableDetails, RpcError> {
        unused()
    }

    fn released(&self) {}
}

impl ServePoolAdmin for Explains {
    async fn show(self: Rc<Self>) -> Result<String, RpcError> {
        unused()
    }

    async fn workers(self: Rc<Self>) -> Result<Vec<WorkerInfo>, RpcError> {
        unused()
    }

    async fn set_active(self: Rc<Self>, _: String, _: bool, _: bool) -> Result<(), RpcError> {
        unused()
    }

    async fn pause_worker(self: Rc<Self>, _: String, _: bool) -> Result<(), RpcError> {
        unused()
    }

    async fn details(self: Rc<Self>) -> Result<PoolDetails, RpcError> {
        unused()
    }

    async fn worker_details(self: Rc<Self>, _: String) -> Result<WorkerDetails, RpcError> {
        unused()
    }

    async fn explain_job(self: Rc<Self>, ticket: u64) -> Result<Explanation, RpcError> {
        Ok(explanation(&format!("ticket {ticket}")))
    }

    async fn explain_worker(self: Rc<Self>, worker: String) -> Result<Explanation, RpcError> {
        Ok(explanation(&worker))
    }

    async fn explain(self: Rc<Self>, most: u32) -> Result<PoolExplanations, RpcError> {
        Ok(PoolExplanations {
            jobs: vec![(u64::from(most), explanation("a job"))],
            workers: vec![("w1".to_owned(), Explanation::default())],
        })
    }

    async fn job_ids(self: Rc<Self>, tickets: Vec<u64>) -> Result<Vec<Option<String>>, RpcError> {
        let ids = tickets.iter();
        Ok(ids
            .map(|ticket| (*ticket > 0).then(|| format!("id-{ticket}")))
            .collect())
    }

    async fn worker(self: Rc<Self>, _: String) -> Result<Worker, RpcError> {
        unused()
    }

    async fn update(
        self: Rc<Self>,
        _: String,
        _: Option<cluster_api::Progress>,
    ) -> Result<(), RpcError> {
        unused()
    }

    async fn set_rate(self: Rc<Self>, _: String, _: f64) -> Result<(), RpcError> {
        unused()
    }

    async fn forget(self: Rc<Self>, _: String) -> Result<(), RpcError> {
        unused()
    }

    async fn drain(
        self: Rc<Self>,
        _: String,
        _: Option<cluster_api::Progress>,
    ) -> Result<(), RpcError> {
        unused()
    }
}

impl ServeAdmin for Explains {
    async fn pools(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        unused()
    }

    async fn pool(self: Rc<Self>, _: String) -> Result<PoolAdmin, RpcError> {
        Ok(PoolAdmin::serve(self))
    }

    async fn add_client(self: Rc<Self>, _: String) -> Result<Submission, RpcError> {
        unused()
    }

    async fn remove_client(self: Rc<Self>, _: String) -> Result<(), RpcError> {
        unused()
    }

    async fn list_clients(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        unused()
    }

    async fn explain_job(self: Rc<Self>, id: String) -> Result<Explanation, RpcError> {
        Ok(explanation(&id))
    }
}

#[test]
fn an_explanation_arrives_as_it_was() {
    run(async {
        let job = DurableJob::serve(Rc::new(Explains));
        let job = DurableJob::from_client(through_connection(job.into_client()));
        assert_eq!(job.explain().await.unwrap(), explanation("the job"));

        let admin = Admin::serve(Rc::new(Explains));
        let admin = Admin::from_client(through_connection(admin.into_client()));
        assert_eq!(admin.explain_job("28t").await.unwrap(), explanation("28t"));
        let pool = admin.pool("linux");
        assert_eq!(
            pool.explain_job(17).await.unwrap(),
            explanation("ticket 17")
        );
        assert_eq!(pool.explain_worker("w1").await.unwrap(), explanation("w1"));
        let all = PoolExplanations {
            jobs: vec![(5, explanation("a job"))],
            workers: vec![("w1".to_owned(), Explanation::default())],
        };
        assert_eq!(pool.explain(5).await.unwrap(), all);
        let ids = pool.job_ids(&[7, 0]).await.unwrap();
        assert_eq!(ids, [Some("id-7".to_owned()), None]);
        let most = pool.job_ids(&[1; MAX_TICKETS + 1]).await.unwrap();
        assert_eq!(most.len(), MAX_TICKETS);
    });
}

#[test]
fn an_object_that_explains_nothing_does_not_know_the_call() {
    run(async {
        let admin = Admin::serve(FakeAdmin::new(&Events::default()));
        let admin = Admin::from_client(through_connection(admin.into_client()));
        let pool = admin.pool("a");
        let kinds = [
            admin.explain_job("28t").await.map(drop),
            pool.explain_job(1).await.map(drop),
            pool.explain_worker("w1").await.map(drop),
            pool.explain(1).await.map(drop),
            pool.job_ids(&[1]).await.map(drop),
        ]
        .map(|answer| answer.unwrap_err().kind);
        assert_eq!(kinds, [RpcErrorKind::Unimplemented; 5]);
    });
}
