//! What is on disk: the only thing that outlives a scheduler.

use std::collections::BTreeMap;

use jobs::{AttemptEnd, AttemptId, Change, JobId, Outcome, Saved, Verdict};
use pool::ClientId;

/// Every job that was ever saved.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    jobs: BTreeMap<JobId, Row>,
    /// The order in which they were saved.
    order: Vec<JobId>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) saved: Saved,
    pub(crate) outcome: Option<Outcome>,
    /// How its attempts ended.
    pub(crate) ends: BTreeMap<u32, AttemptEnd>,
}

impl Disk {
    pub(crate) fn row(&self, job: JobId) -> Option<&Row> {
        self.jobs.get(&job)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (JobId, &Row)> {
        self.order
            .iter()
            .filter_map(|id| Some((*id, self.jobs.get(id)?)))
    }

    /// Returns the job that a client has submitted with a key, ended or not.
    pub(crate) fn with_key(&self, client: &ClientId, key: &jobs::JobKey) -> Option<JobId> {
        let same =
            |row: &Row| row.saved.new.client == *client && row.saved.new.key.as_ref() == Some(key);
        self.rows().find(|(_, row)| same(row)).map(|(id, _)| id)
    }

    /// Returns what a scheduler restores.
    pub(crate) fn unfinished(&self) -> Vec<Saved> {
        let unfinished = self.rows().filter(|(_, row)| row.outcome.is_none());
        unfinished.map(|(_, row)| row.saved.clone()).collect()
    }

    /// Saves a change.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub(crate) fn save(&mut self, change: &Change) -> Result<(), String> {
        let id = change.job();
        if let Change::Submitted { new, at } = change {
            if let Some(key) = &new.key
                && let Some(other) = self.with_key(&new.client, key)
            {
                return Err(format!("same key, same job: {id} has the key of {other}"));
            }
            let saved = Saved::new((**new).clone(), *at);
            let row = Row {
                saved,
                outcome: None,
                ends: BTreeMap::new(),
            };
            if self.jobs.insert(id, row).is_some() {
                return Err(format!("{id} is submitted twice"));
            }
            self.order.push(id);
            return Ok(());
        }
        let Some(row) = self.jobs.get_mut(&id) else {
            return Err(format!(
                "accepted means kept: {change:?} of a job that is not there"
            ));
        };
        row.saved.apply(change);
        let checked = match change {
            Change::Assigned { attempt, .. } => row.assigned(AttemptId {
                job: id,
                number: attempt.number,
            }),
            Change::Ended { outcome, .. } => row.ended(id, outcome),
            Change::Requeued { .. } => row.waits(id),
            Change::AttemptEnded { .. } | Change::Placed { .. } | Change::Submitted { .. } => {
                Ok(())
            }
        };
        if let Some((number, end)) = change.attempt_end() {
            row.ends
                .entry(number.unwrap_or(row.saved.attempts))
                .or_insert(end);
        }
        checked
    }
}

impl Row {
    fn assigned(&self, attempt: AttemptId) -> Result<(), String> {
        if self.outcome.is_some() {
            return Err(format!(
                "one outcome: {attempt} begins when the job has ended"
            ));
        }
        if self.ends.contains_key(&attempt.number) {
            return Err(format!("the log stays: {attempt} begins a second time"));
        }
        if self
            .ends
            .values()
            .any(|end| matches!(end, AttemptEnd::Done(_)))
        {
            return Err(format!(
                "bounded retries: {attempt} begins, though another has run to its end"
            ));
        }
        Ok(())
    }

    fn waits(&self, id: JobId) -> Result<(), String> {
        let allowed = usize::from(self.saved.new.terms.attempts.get());
        if self.saved.losses.len() >= allowed {
            let lost = self.saved.losses.len();
            return Err(format!(
                "bounded retries: {id} lost {lost} of {allowed} attempts, and waits"
            ));
        }
        if self.outcome.is_some() {
            return Err(format!("one outcome: {id} waits again after its end"));
        }
        Ok(())
    }

    fn ended(&mut self, id: JobId, outcome: &Outcome) -> Result<(), String> {
        if let Some(before) = &self.outcome {
            return Err(format!(
                "one outcome: {id} ended as {before:?}, and then as {outcome:?}"
            ));
        }
        if let Outcome::Done(Verdict::Succeeded(output)) = outcome {
            // The simulated workers return the number of the attempt.
            let latest = self.saved.attempts.to_string();
            if **output != *latest {
                return Err(format!(
                    "one outcome: attempt {output} of {id} decides, and {latest} is the latest"
                ));
            }
        }
        self.outcome = Some(outcome.clone());
        Ok(())
    }
}
