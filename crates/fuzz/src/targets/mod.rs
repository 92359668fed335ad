//! The targets, one file each.

mod build_log;
mod config;
mod copies;
mod description;
mod dockerfile;
mod frames;
mod git_url;
mod guarded;
mod image;
mod layers;
mod members;
mod phases;
mod redactor;
mod rpc;
mod seccomp;
mod spec;
mod sturdy_ref;
mod terminal;

/// A function to test with bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, for `cargo xtask fuzz` and the folder of its inputs.
    pub name: &'static str,
    /// Its description in one line.
    pub about: &'static str,
    /// Tests the bytes. Panics if it finds an error.
    pub run: fn(&[u8]),
    /// The longest useful input, in bytes.
    pub longest: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "frames",
        about: "the decoder of messages on a connection",
        run: frames::run,
        longest: 4096,
    },
    Target {
        name: "rpc-server",
        about: "a scheduler, and a peer that begins as a legal one and then sends anything",
        run: rpc::server,
        longest: 1024,
    },
    Target {
        name: "rpc-client",
        about: "a client, a worker or an operator, and a scheduler that sends anything",
        run: rpc::client,
        longest: 1024,
    },
    Target {
        name: "sturdy-refs",
        about: "cap files",
        run: sturdy_ref::run,
        longest: 512,
    },
    Target {
        name: "descriptions",
        about: "descriptions of jobs, as a scheduler accepts and a worker reads them",
        run: description::run,
        longest: 2048,
    },
    Target {
        name: "specs",
        about: "OBuilder's specs, and Dockerfiles made from them",
        run: spec::run,
        longest: 4096,
    },
    Target {
        name: "layers",
        about: "layers of images, unpacked into a directory that they must not leave",
        run: layers::run,
        longest: 4096,
    },
    Target {
        name: "copies",
        about: "files copied into images, and mount points created there, which must not leave them",
        run: copies::run,
        longest: 2048,
    },
    Target {
        name: "images",
        about: "archives and layouts of images: indexes, manifests, configs",
        run: image::run,
        longest: 4096,
    },
    Target {
        name: "git-urls",
        about: "URLs of repositories, and git's command lines",
        run: git_url::run,
        longest: 512,
    },
    Target {
        name: "dockerfiles",
        about: "Dockerfiles, as a worker reads them",
        run: dockerfile::run,
        longest: 2048,
    },
    Target {
        name: "build-logs",
        about: "logs of builds, as pages show them",
        run: build_log::run,
        longest: 2048,
    },
    Target {
        name: "build-steps",
        about: "steps in the output of Docker builds",
        run: phases::run,
        longest: 2048,
    },
    Target {
        name: "terminal",
        about: "texts from the network on a terminal",
        run: terminal::run,
        longest: 512,
    },
    Target {
        name: "redactor",
        about: "secrets in the output of a job",
        run: redactor::run,
        longest: 1024,
    },
    Target {
        name: "seccomp",
        about: "seccomp profiles, and their programs",
        run: seccomp::run,
        longest: 4096,
    },
    Target {
        name: "configs",
        about: "configuration files",
        run: config::run,
        longest: 1024,
    },
];

/// Stops what targets keep for the next input, such as a scheduler.
pub fn end() {
    rpc::end();
}
