//! All that a scheduler tells an operator of a job.

use cluster_api::{
    Admin, DurableAttempt, DurableDetails, DurableStage, Explanation, JobDetails, RpcError,
    RpcErrorKind,
};

use crate::timeline::{AttemptPhases, MAX_ATTEMPTS};

/// All that is known of a job.
pub(crate) struct KnownJob {
    pub(crate) details: JobDetails,
    /// Why it waits; `None` if it does not, or the scheduler is an older one.
    pub(crate) explanation: Option<Explanation>,
    /// The phases of its latest attempts; none if the scheduler does not keep them.
    pub(crate) phases: AttemptPhases,
}

/// A call that failed.
pub(crate) struct FailedCall {
    pub(crate) method: &'static str,
    pub(crate) error: RpcError,
}

impl KnownJob {
    /// Asks for a job by its id, or the beginning of its id.
    ///
    /// # Errors
    ///
    /// [`FailedCall`] when there is no such job, or the connection is lost.
    pub(crate) async fn ask(admin: &Admin, id: &str) -> Result<Self, FailedCall> {
        let details = admin.job_details(id).await;
        let details = details.map_err(failed("JobsAdmin.job"))?;
        let explanation = explanation(admin, &details.job).await;
        let phases = phases(admin, &details.job).await;
        Ok(Self {
            details,
            explanation: explanation.map_err(failed("JobExplanations.explain"))?,
            phases: phases.map_err(failed("JobTimelines.phases"))?,
        })
    }
}

fn failed(method: &'static str) -> impl FnOnce(RpcError) -> FailedCall {
    move |error| FailedCall { method, error }
}

async fn explanation(admin: &Admin, job: &DurableDetails) -> Result<Option<Explanation>, RpcError> {
    if let DurableStage::Ended { .. } | DurableStage::Running { .. } = job.status.stage {
        return Ok(None);
    }
    match admin.explain_job(&job.summary.id).await {
        Ok(explanation) => Ok(Some(explanation)),
        Err(error) if error.kind == RpcErrorKind::Unimplemented => Ok(None),
        Err(error) => Err(error),
    }
}

async fn phases(admin: &Admin, job: &DurableDetails) -> Result<AttemptPhases, RpcError> {
    let mut all = AttemptPhases::new();
    for DurableAttempt { number, .. } in job.attempts.iter().rev().take(MAX_ATTEMPTS) {
        match admin.job_phases(&job.summary.id, *number).await {
            Ok(phases) => drop(all.insert(*number, phases)),
            Err(error) if error.kind == RpcErrorKind::Unimplemented => break,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
