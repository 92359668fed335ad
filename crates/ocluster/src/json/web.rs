//! What the pages of a scheduler give to programs.

use cluster_web::pages::{
    AuditPage, JobPage, JobsPage, Notice, PoolPage, PoolsPage, WorkerPage, WorkersPage,
};

use super::Output;
use super::Shape::Object;

/// Returns what each page gives.
pub(super) fn schemas() -> Vec<Output> {
    let get = "GET";
    vec![
        Output::new::<PoolsPage>(get, "/index.json", Object),
        Output::new::<PoolPage>(get, "/pool/POOL.json", Object),
        Output::new::<WorkersPage>(get, "/pool/POOL/workers.json", Object),
        Output::new::<WorkerPage>(get, "/worker/POOL/WORKER.json", Object),
        Output::new::<JobPage>(get, "/job/JOB.json", Object),
        Output::new::<JobsPage>(get, "/jobs.json", Object),
        Output::new::<AuditPage>(get, "/audit.json", Object),
        Output::new::<Notice>(get, "…, if it fails", Object),
    ]
}
