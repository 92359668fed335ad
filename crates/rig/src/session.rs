//! The machines that `cargo xtask test` starts, and how a test finds them: by environment variables.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::docker::Docker;
use crate::engine::DockerEngine;
use crate::image::import_busybox;
use crate::network::Network;
use crate::registry::{Registry, RegistryAccess};

const DOCKER_HOST: &str = "OCLUSTER_TEST_DOCKER_HOST";
const DOCKER_PROGRAMS: &str = "OCLUSTER_TEST_DOCKER_PROGRAMS";
const DOCKER_CONFIG: &str = "OCLUSTER_TEST_DOCKER_CONFIG";
/// Not set if the engine uses this machine's network.
const DOCKER_NETWORK: &str = "OCLUSTER_TEST_DOCKER_NETWORK";
const REGISTRY: &str = "OCLUSTER_TEST_REGISTRY";
const REGISTRY_USER: &str = "OCLUSTER_TEST_REGISTRY_USER";
const REGISTRY_PASSWORD: &str = "OCLUSTER_TEST_REGISTRY_PASSWORD";
const PROGRAMS: &str = "OCLUSTER_TEST_PROGRAMS";

/// The image that every test's Dockerfile may start from.
const BASE_IMAGE: &str = "busybox";

/// The machines that all tests of one run share, held by the program that runs the tests.
#[derive(Debug)]
pub struct Session {
    engine: DockerEngine,
    registry: Registry,
    programs: PathBuf,
}

impl Session {
    /// Starts the machines. `programs` is the folder of the programs under test.
    ///
    /// The engine is a new one, because tests fill and prune it.
    ///
    /// # Errors
    /// When something is missing or does not start.
    pub fn start(programs: PathBuf) -> Result<Self> {
        let engine = DockerEngine::own()?;
        engine.connect_outside()?;
        import_busybox(&engine, BASE_IMAGE)?;
        let registry = Registry::start()?;
        engine.reach(engine.holder(), registry.access().port()?)?;
        Ok(Self {
            engine,
            registry,
            programs,
        })
    }

    /// Returns the environment variables that [`Rig::or_not_run`] reads.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let (docker, registry) = (&*self.engine, self.registry.access());
        let path = |path: &PathBuf| path.display().to_string();
        let mut env = vec![
            (DOCKER_HOST, docker.host.clone()),
            (DOCKER_PROGRAMS, path(&docker.programs)),
            (DOCKER_CONFIG, path(&docker.config)),
            (REGISTRY, registry.address.clone()),
            (REGISTRY_USER, registry.user.clone()),
            (REGISTRY_PASSWORD, registry.password.clone()),
            (PROGRAMS, path(&self.programs)),
        ];
        let network = docker.network.as_ref();
        env.extend(network.map(|network| (DOCKER_NETWORK, network.path().display().to_string())));
        env
    }

    /// Stops everything.
    ///
    /// # Errors
    /// When something is left, with what that is.
    pub fn finish(self) -> Result<()> {
        drop(self.registry);
        self.engine.finish()
    }
}

/// The machines that a test may use.
#[derive(Clone, Debug)]
pub struct Rig {
    /// The engine for the tests, with an image called `busybox`.
    pub docker: Docker,
    /// The registry, which other tests use too: put the test's name into the names of images.
    pub registry: RegistryAccess,
    programs: PathBuf,
}

impl Rig {
    /// Returns the machines, or `None` if they were not started, so that the test `name` cannot run.
    ///
    /// That is then reported by name, and counted by `cargo xtask test`.
    ///
    /// # Panics
    /// In CI (`CI=true`), where every test must run.
    pub fn or_not_run(name: &str) -> Option<Self> {
        match Self::from_env() {
            Ok(rig) => Some(rig),
            Err(error) => {
                report_not_run(name, &format!("{error:#}"));
                None
            }
        }
    }

    fn from_env() -> Result<Self> {
        let get = |name: &str| {
            std::env::var(name)
                .ok()
                .context("a Docker engine and a registry: use `cargo xtask test`")
        };
        Ok(Self {
            docker: Docker {
                host: get(DOCKER_HOST)?,
                programs: get(DOCKER_PROGRAMS)?.into(),
                config: get(DOCKER_CONFIG)?.into(),
                network: get(DOCKER_NETWORK).ok().map(Network::at),
            },
            registry: RegistryAccess {
                address: get(REGISTRY)?,
                user: get(REGISTRY_USER)?,
                password: get(REGISTRY_PASSWORD)?,
            },
            programs: get(PROGRAMS)?.into(),
        })
    }

    /// Starts a cluster of the programs under test, with a scheduler for `pools`.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn cluster(&self, pools: &[&str]) -> Result<Cluster> {
        self.cluster_with(pools, &[])
    }

    /// Like [`cluster`](Self::cluster), with more options for the scheduler.
    ///
    /// # Errors
    /// As for `cluster`.
    pub fn cluster_with(&self, pools: &[&str], options: &[&str]) -> Result<Cluster> {
        Cluster::start_with(&self.programs, pools, options)
    }

    /// Returns the folder of the programs under test, such as `ocluster-worker`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }
}

/// Reports that the test `name` does not run on this machine, in a line that `cargo xtask test` counts.
///
/// # Panics
/// In CI (`CI=true`), where every test must run.
pub fn report_not_run(name: &str, needs: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "{name} must run here, but needs {needs}");
    // Not captured by the test harness, which hides the output of passing tests.
    drop(writeln!(
        std::io::stderr().lock(),
        "not run: {name}: needs {needs}"
    ));
}
