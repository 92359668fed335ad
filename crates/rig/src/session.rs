//! What `cargo xtask test` has started, as a test finds it: through the environment.

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
/// Not there when the engine uses this machine's network.
const DOCKER_NETWORK: &str = "OCLUSTER_TEST_DOCKER_NETWORK";
const REGISTRY: &str = "OCLUSTER_TEST_REGISTRY";
const REGISTRY_USER: &str = "OCLUSTER_TEST_REGISTRY_USER";
const REGISTRY_PASSWORD: &str = "OCLUSTER_TEST_REGISTRY_PASSWORD";
const PROGRAMS: &str = "OCLUSTER_TEST_PROGRAMS";

/// The image that every test's Dockerfile may start from.
const BASE_IMAGE: &str = "busybox";

/// The machines that one run of the tests shares, held by the program that runs them.
#[derive(Debug)]
pub struct Session {
    engine: DockerEngine,
    registry: Registry,
    programs: PathBuf,
}

impl Session {
    /// Starts the machines. `programs` is where the programs under test have been built.
    ///
    /// The engine is our own: tests fill and prune it, and one that runs here is somebody's.
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

    /// Returns the environment in which [`Rig::or_not_run`] finds them.
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

    /// Stops everything, and says what is left.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(self) -> Result<()> {
        drop(self.registry);
        self.engine.finish()
    }
}

/// The machines that a test may use.
#[derive(Clone, Debug)]
pub struct Rig {
    /// The engine, which was started for these tests, with an image called `busybox`.
    pub docker: Docker,
    /// The registry, shared with other tests: put the test's name into the names of images.
    pub registry: RegistryAccess,
    programs: PathBuf,
}

impl Rig {
    /// Returns the machines, or `None` when the test `name` cannot run because nothing has started them.
    ///
    /// That is then reported by name, where `cargo xtask test` counts it.
    ///
    /// # Panics
    /// On CI's machine (`CI=true`), where nothing may be left out.
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
    /// When it does not start; then with what it printed.
    pub fn cluster(&self, pools: &[&str]) -> Result<Cluster> {
        self.cluster_with(pools, &[])
    }

    /// As [`cluster`](Self::cluster), with more options for the scheduler.
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

/// Reports that the test `name` does not run on this machine, in the line that `cargo xtask test` counts.
///
/// # Panics
/// On CI's machine (`CI=true`), where nothing may be left out.
pub fn report_not_run(name: &str, needs: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "{name} must run here, but needs {needs}");
    // Past the test harness, which keeps what a passing test prints to itself.
    drop(writeln!(
        std::io::stderr().lock(),
        "not run: {name}: needs {needs}"
    ));
}
