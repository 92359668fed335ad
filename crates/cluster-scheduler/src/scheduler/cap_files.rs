//! The cap files that a scheduler writes when it starts.

use std::path::{Path, PathBuf};

use pool::ClientId;
use vat::{Identity, ServiceId, cap_file};

use super::error::StartError;
use crate::cluster::Cluster;
use crate::config::{FileName, SchedulerConfig};
use crate::db::WriteError;
use crate::derived::DerivedService;

/// Writes the cap files of all services, and returns their paths in the order in which they were written. `is_shared`
/// tells whether other schedulers may have written those of clients.
pub(super) async fn write(
    config: &SchedulerConfig,
    cluster: &Cluster,
    identity: &Identity,
    is_shared: bool,
) -> Result<Vec<PathBuf>, StartError> {
    let mut files = CapFiles {
        cluster,
        directory: &config.secrets_dir,
        is_shared,
        written: Vec::new(),
    };
    for client in &config.default_clients {
        files.default_client(client).await?;
    }
    for service in DerivedService::all(cluster.pools().keys()) {
        files.write(&service.cap_file(), service.id(identity))?;
    }
    Ok(files.written)
}

/// Writes cap files, and logs each.
struct CapFiles<'a> {
    cluster: &'a Cluster,
    directory: &'a Path,
    is_shared: bool,
    written: Vec<PathBuf>,
}

impl CapFiles<'_> {
    /// Makes sure that a client exists and that there is, or has been, a cap file for it.
    async fn default_client(&mut self, name: &FileName) -> Result<(), StartError> {
        let file = format!("submit-{name}.cap");
        if self.directory.join(&file).exists() {
            return Ok(());
        }
        let failed = |source| StartError::DefaultClient {
            client: name.clone(),
            source,
        };
        let client = ClientId::from(name);
        let exists = self.cluster.clients().contains(&client);
        if exists && self.is_shared {
            // A new secret would lock out who has the cap file.
            tracing::info!(
                target: "scheduler",
                "Client {:?} exists; its cap file {} is where the scheduler wrote it that led then",
                name.as_str(), self.directory.join(&file).display()
            );
            return Ok(());
        }
        let id = if exists {
            let id = self.cluster.reissue(&client).await;
            tracing::warn!(
                target: "scheduler",
                "Client {:?} exists, but its cap file {} does not: writing it with a new secret; the old secret is \
                 revoked",
                name.as_str(), self.directory.join(&file).display()
            );
            id.map_err(|error: WriteError| failed(error.into()))?
        } else {
            self.cluster
                .add_client(name.as_str())
                .await
                .map_err(failed)?
                .1
        };
        self.write(&file, id)
    }

    fn write(&mut self, file: &str, service: ServiceId) -> Result<(), StartError> {
        let path = self.directory.join(file);
        cap_file::save(&path, &self.cluster.sturdy_ref(service))?;
        tracing::info!(target: "application", "Wrote capability reference to {path:?}");
        self.written.push(path);
        Ok(())
    }
}
