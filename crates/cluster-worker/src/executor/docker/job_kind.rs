//! Docker builds as a kind of job.

use cluster_api::{DockerBuild, Dockerfile};
use visible::Lines;

use crate::executor::JobKind;

impl JobKind for DockerBuild {
    fn announcement(&self, hint: &str) -> String {
        match &self.dockerfile {
            Dockerfile::Contents(text) => {
                format!("Got request to build ({hint}):\n{}", Lines(text.trim()))
            }
            Dockerfile::Path(path) => format!("Got request to build {path:?} ({hint})"),
        }
    }

    fn password(&self) -> Option<&[u8]> {
        Some(self.push_password.expose().as_bytes())
    }

    fn includes_git(&self) -> bool {
        self.include_git
    }
}
