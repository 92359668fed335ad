//! Progress reports, collected.

use std::cell::RefCell;
use std::rc::Rc;

use cluster_api::{Progress, RpcError, ServeProgress};

/// Collects the texts of progress reports.
#[derive(Default)]
pub struct ProgressReports(RefCell<Vec<String>>);

impl ProgressReports {
    /// Returns an empty collection, and the capability to report to it.
    pub fn new() -> (Rc<Self>, Progress) {
        let reports = Rc::new(Self::default());
        (Rc::clone(&reports), Progress::serve(reports))
    }

    /// Returns the reports so far.
    pub fn get(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

impl ServeProgress for ProgressReports {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        self.0.borrow_mut().push(status);
        Ok(())
    }
}
