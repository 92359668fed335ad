//! Real machines for tests and for the demo: a Docker engine, a registry with a password, git servers.
//!
//! Each is a guard. Dropping it stops what it started and removes what it created. So does the end of the program that
//! holds it, even by `kill -9`: see [`Holder`], which all of them use. Everything listens on loopback, on ports that
//! the system chooses, and every wait has a limit.
//!
//! A test that needs them calls [`Rig::or_not_run`], which returns what `cargo xtask test` has started.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers"
)]

mod cgroup;
mod cluster;
mod command;
mod debian;
mod docker;
mod engine;
mod git;
mod holder;
mod image;
mod lan;
mod loop_disk;
mod name;
mod network;
mod oci_image;
mod postgres;
mod protocol;
mod reaper;
mod registry;
mod rootfs;
#[cfg(feature = "s3")]
mod s3;
mod session;
mod setup;
mod swarm;
mod traces;
mod wait;
mod wire;

pub use cluster::{Cluster, Worker};
pub use command::{checked, find_program, output_within, succeeds_within};
pub use debian::import_debian;
pub use docker::Docker;
pub use engine::DockerEngine;
pub use git::{Credentials, GitServer, Repository};
pub use holder::{Holder, Process, ProcessState};
pub use image::{BaseImage, busybox_rootfs, import_busybox, unique_busybox};
pub use lan::Lan;
pub use loop_disk::{Filesystem, LoopDisk};
pub use name::Name;
pub use network::forward;
pub use oci_image::{Layer, LayerFile, MTIME, OciImage, OciLayout, architecture, tar};
pub use postgres::PostgreSql;
pub use reaper::{hold, run_inside, run_offline};
pub use registry::{Registry, RegistryAccess};
pub use rootfs::{host_rootfs, import_host};
#[cfg(feature = "s3")]
pub use s3::S3Server;
pub use session::{Rig, Session, report_not_run};
pub use setup::{DEMO_PACKAGES, DOCKER_PACKAGES, Package, Setup, TEST_PACKAGES, is_root};
pub use swarm::make_swarm;
pub use traces::traces;
pub use wait::wait_for;
pub use wire::{End, Wire};
