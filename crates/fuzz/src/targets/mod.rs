//! The targets, one file each.

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
mod redactor;
mod rpc;
mod seccomp;
mod spec;
mod sturdy_ref;
mod terminal;

/// Something to try bytes on.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What `cargo xtask fuzz` calls it, and the folder of its inputs is called.
    pub name: &'static str,
    /// What it is about, in a line.
    pub about: &'static str,
    /// Tries the bytes. Panics if they cause what must not be.
    pub run: fn(&[u8]),
    /// The longest input worth trying, in bytes.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "frames",
        about: "the decoder of messages on a connection",
        run: frames::run,
        longest: 4096,
    },
    Target {
        name: "rpc-server",
        about: "a scheduler, and a peer that begins as a legal one and then says anything",
        run: rpc::server,
        longest: 1024,
    },
    Target {
        name: "rpc-client",
        about: "a client and a worker, and a scheduler that says anything",
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
        about: "what a job is, as a scheduler takes and a worker reads it",
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
        about: "files copied into images, and places for mounts made there, which they must not leave",
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
        about: "what a worker reads in a Dockerfile",
        run: dockerfile::run,
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
        about: "secrets in what a job prints",
        run: redactor::run,
        longest: 1024,
    },
    Target {
        name: "seccomp",
        about: "seccomp profiles, and the programs made of them",
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

/// Ends what targets have started and keep for the next input, such as a scheduler.
pub fn end() {
    rpc::end();
}
