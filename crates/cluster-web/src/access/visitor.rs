//! Visitors, and the one place that decides what each may see and do.

use cluster_api::JobDetails;

/// Whose capability a visitor has come in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is the right to.
    pub role: Role,
    /// Who it was, as the program reported that asked for the link, or as a proxy reports; empty if unknown.
    pub by: String,
}

/// What a capability is the right to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The administration of the cluster.
    Admin,
    /// The jobs of a client.
    Client {
        /// The name of the client.
        name: String,
        /// Changes when the client gets another secret, which ends the sessions with the old one; 0 if it has none.
        access: u64,
    },
    /// The view of one job.
    Job {
        /// Its id.
        id: String,
    },
}

/// Who looks at a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// A visitor without any right.
    Stranger,
    /// A visitor who sees names and numbers of pools, their queues and workers, but no job and no log.
    Public,
    /// The holder of a capability.
    Holder(Holder),
}

impl Visitor {
    fn role(&self) -> Option<&Role> {
        match self {
            Self::Stranger | Self::Public => None,
            Self::Holder(holder) => Some(&holder.role),
        }
    }

    /// Returns whether this is an operator.
    pub fn is_admin(&self) -> bool {
        matches!(self.role(), Some(Role::Admin))
    }

    /// Returns the client whose jobs alone the visitor may see.
    pub fn client(&self) -> Option<&str> {
        match self.role() {
            Some(Role::Client { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// Returns whether the visitor may see pools: their numbers, workers and queues.
    pub fn may_see_pools(&self) -> bool {
        match self {
            Self::Stranger => false,
            Self::Public => true,
            Self::Holder(Holder { role, .. }) => match role {
                Role::Admin | Role::Client { .. } => true,
                Role::Job { .. } => false,
            },
        }
    }

    /// Returns whether the visitor may see the names of other clients, the hints of their jobs, and addresses.
    pub fn may_see_details(&self) -> bool {
        self.is_admin()
    }

    /// Returns whether the visitor may see lists of jobs: all, or those of [`client`](Self::client).
    pub fn may_list_jobs(&self) -> bool {
        self.is_admin() || self.client().is_some()
    }

    /// Returns whether the visitor may see a job and its log.
    pub fn may_see_job(&self, job: &JobDetails) -> bool {
        self.may_see_job_of(&job.job.summary.id, &job.client)
    }

    /// Returns whether the visitor may see the job with this id, of this client.
    pub fn may_see_job_of(&self, id: &str, client: &str) -> bool {
        match self.role() {
            None => false,
            Some(Role::Admin) => true,
            Some(Role::Client { name, .. }) => name == client,
            Some(Role::Job { id: shared }) => shared == id,
        }
    }

    /// Returns whether the visitor may cancel or retry a job that it may see.
    pub fn may_change_job_of(&self, client: &str) -> bool {
        self.is_admin() || self.client() == Some(client)
    }

    /// Returns whether the visitor may read the audit log, and pause workers.
    pub fn may_operate(&self) -> bool {
        self.is_admin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(role: Role) -> Visitor {
        Visitor::Holder(Holder {
            role,
            by: String::new(),
        })
    }

    #[test]
    fn each_visitor_sees_what_it_has_a_right_to() {
        let alice = holder(Role::Client {
            name: "alice".to_owned(),
            access: 1,
        });
        let job = holder(Role::Job {
            id: "j1".to_owned(),
        });
        let admin = holder(Role::Admin);
        let table = [
            (Visitor::Stranger, false, false, [false; 3], false),
            (Visitor::Public, true, false, [false; 3], false),
            (job, false, false, [true, false, false], false),
            (alice, true, true, [true, true, false], false),
            (admin, true, true, [true; 3], true),
        ];
        // j1 and j2 are jobs of alice, and j3 is one of bob.
        let jobs = [("j1", "alice"), ("j2", "alice"), ("j3", "bob")];
        for (visitor, pools, lists, sees, operates) in table {
            assert_eq!(visitor.may_see_pools(), pools, "{visitor:?}");
            assert_eq!(visitor.may_list_jobs(), lists, "{visitor:?}");
            assert_eq!(visitor.may_operate(), operates, "{visitor:?}");
            let seen = jobs.map(|(id, client)| visitor.may_see_job_of(id, client));
            assert_eq!(seen, sees, "{visitor:?}");
        }
    }

    #[test]
    fn only_the_client_and_operators_change_a_job() {
        let alice = holder(Role::Client {
            name: "alice".to_owned(),
            access: 1,
        });
        let job = holder(Role::Job {
            id: "j1".to_owned(),
        });
        assert!(alice.may_change_job_of("alice") && !alice.may_change_job_of("bob"));
        assert!(holder(Role::Admin).may_change_job_of("bob"));
        for visitor in [Visitor::Stranger, Visitor::Public, job] {
            assert!(!visitor.may_change_job_of("alice"), "{visitor:?}");
        }
    }
}
