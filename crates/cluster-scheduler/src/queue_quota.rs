//! How much of the queue each client takes, and the most that it may take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use cluster_api::RpcError;
use pool::ClientId;

use crate::limits::Limits;

/// The places in the queues of all pools.
pub(crate) struct QueueQuota {
    limits: Limits,
    used: RefCell<Used>,
}

#[derive(Default)]
struct Used {
    bytes: usize,
    /// Those of each client. None that are empty.
    clients: HashMap<ClientId, Share>,
}

/// What one client takes.
#[derive(Clone, Copy, Default)]
struct Share {
    jobs: usize,
    bytes: usize,
}

/// A place in a queue, and so many bytes. It is given back when this is dropped.
pub(crate) struct QueueReservation {
    quota: Rc<QueueQuota>,
    client: ClientId,
    bytes: usize,
}

/// Why a job cannot be queued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuotaError {
    #[error(
        "cannot queue the job: its description has {bytes} bytes, and the limit is {limit} (--max-description-size); \
         make it smaller"
    )]
    Description { bytes: usize, limit: usize },
    #[error(
        "cannot queue the job: {jobs} jobs of client {client:?} are waiting, and the limit is {limit} \
         (--max-queued-jobs); submit it again when some have started"
    )]
    Jobs {
        client: ClientId,
        jobs: usize,
        limit: usize,
    },
    #[error(
        "cannot queue the job: with it, the waiting jobs of client {client:?} would take {bytes} bytes, and the limit \
         is {limit} (--max-client-queue-size); submit it again when some have started"
    )]
    ClientBytes {
        client: ClientId,
        bytes: usize,
        limit: usize,
    },
    #[error(
        "cannot queue the job: with it, all waiting jobs would take {bytes} bytes, and the limit is {limit} \
         (--max-queue-size); submit it again when some have started"
    )]
    Bytes { bytes: usize, limit: usize },
}

impl From<QuotaError> for RpcError {
    fn from(error: QuotaError) -> Self {
        let reason = error.to_string();
        match error {
            QuotaError::Description { .. } => Self::failed(reason),
            // The same job may be accepted later.
            QuotaError::Jobs { .. } | QuotaError::ClientBytes { .. } | QuotaError::Bytes { .. } => {
                Self::overloaded(reason)
            }
        }
    }
}

impl QueueQuota {
    pub(crate) fn new(limits: Limits) -> Rc<Self> {
        let used = RefCell::default();
        Rc::new(Self { limits, used })
    }

    /// Takes a place for a job of `client` whose description has `description` bytes, and takes `bytes` of memory.
    pub(crate) fn take(
        self: &Rc<Self>,
        client: &ClientId,
        description: usize,
        bytes: usize,
    ) -> Result<QueueReservation, QuotaError> {
        let limit = self.limits.description_bytes;
        if description > limit {
            return Err(QuotaError::Description {
                bytes: description,
                limit,
            });
        }
        let mut used = self.used.borrow_mut();
        let share = used.clients.get(client).copied().unwrap_or_default();
        let client = client.clone();
        if share.jobs >= self.limits.queued_jobs {
            let (jobs, limit) = (share.jobs, self.limits.queued_jobs);
            return Err(QuotaError::Jobs {
                client,
                jobs,
                limit,
            });
        }
        let (theirs, all) = (share.bytes + bytes, used.bytes + bytes);
        if theirs > self.limits.client_queue_bytes {
            let (bytes, limit) = (theirs, self.limits.client_queue_bytes);
            return Err(QuotaError::ClientBytes {
                client,
                bytes,
                limit,
            });
        }
        if all > self.limits.queue_bytes {
            let (bytes, limit) = (all, self.limits.queue_bytes);
            return Err(QuotaError::Bytes { bytes, limit });
        }
        used.bytes = all;
        let share = Share {
            jobs: share.jobs + 1,
            bytes: theirs,
        };
        used.clients.insert(client.clone(), share);
        Ok(QueueReservation {
            quota: Rc::clone(self),
            client,
            bytes,
        })
    }
}

impl QueueQuota {
    /// Takes a place for a job that was accepted before, whatever the limits.
    pub(crate) fn reserve(self: &Rc<Self>, client: &ClientId, bytes: usize) -> QueueReservation {
        let mut used = self.used.borrow_mut();
        used.bytes += bytes;
        let share = used.clients.entry(client.clone()).or_default();
        share.jobs += 1;
        share.bytes += bytes;
        drop(used);
        QueueReservation {
            quota: Rc::clone(self),
            client: client.clone(),
            bytes,
        }
    }
}

impl Drop for QueueReservation {
    fn drop(&mut self) {
        let mut used = self.quota.used.borrow_mut();
        used.bytes -= self.bytes;
        if let Some(share) = used.clients.get_mut(&self.client) {
            share.jobs -= 1;
            share.bytes -= self.bytes;
            if share.jobs == 0 {
                used.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    fn quota() -> Rc<QueueQuota> {
        QueueQuota::new(Limits {
            description_bytes: 100,
            queued_jobs: 3,
            client_queue_bytes: 150,
            queue_bytes: 200,
            ..Limits::default()
        })
    }

    #[test]
    fn each_limit_is_named_with_its_value() {
        let quota = quota();
        let take = |name: &str, bytes| quota.take(&client(name), bytes, bytes);
        let mut refusals = vec![take("a", 101).err()];
        let held = [take("a", 50), take("a", 60)];
        refusals.push(take("a", 41).err());
        let last = take("a", 40);
        refusals.push(take("a", 1).err());
        refusals.push(take("b", 51).err());
        assert!(held.iter().all(Result::is_ok) && last.is_ok());
        let texts: Vec<String> = refusals
            .into_iter()
            .map(|refusal| refusal.unwrap().to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "cannot queue the job: its description has 101 bytes, and the limit is 100 (--max-description-size); \
                 make it smaller",
                "cannot queue the job: with it, the waiting jobs of client \"a\" would take 151 bytes, and the limit \
                 is 150 (--max-client-queue-size); submit it again when some have started",
                "cannot queue the job: 3 jobs of client \"a\" are waiting, and the limit is 3 (--max-queued-jobs); \
                 submit it again when some have started",
                "cannot queue the job: with it, all waiting jobs would take 201 bytes, and the limit is 200 \
                 (--max-queue-size); submit it again when some have started",
            ]
        );
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let quota = quota();
        for _ in 0..3 {
            let held: Vec<_> = (0..3)
                .map(|_| quota.take(&client("a"), 50, 50).unwrap())
                .collect();
            assert!(quota.take(&client("a"), 1, 1).is_err());
            let other = quota.take(&client("b"), 50, 50).unwrap();
            drop((held, other));
            assert_eq!(quota.used.borrow().bytes, 0);
            assert!(quota.used.borrow().clients.is_empty());
        }
    }
}
