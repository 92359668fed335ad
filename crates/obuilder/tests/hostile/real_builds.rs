//! Typical builds under the filter, which must not disturb them.
//!
//! They need Debian's packages, from its mirror, and take minutes:
//! `cargo test -p obuilder --features real-builds --test hostile real_builds`.

#![expect(clippy::print_stdout, reason = "shows what works")]

use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use obuilder::sandbox::{Exit, Network, OciSandbox, Sandbox as _, SandboxOptions};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

use crate::room::{Room, Text, script, with_builtin, with_runc};

/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Steps in one root filesystem, in order: what it is, the user, the command, and its last line of output.
const STORY: &[(&str, u32, &str, &str)] = &[
    (
        "apt-get and dpkg install packages",
        0,
        "apt-get update && apt-get install -y --no-install-recommends sudo gcc libc6-dev make git bubblewrap \
         rustc cargo golang-go nodejs opam ocaml-nox gcc-multilib > /tmp/log 2>&1 || tail -n 30 /tmp/log; \
         dpkg --audit; echo $?",
        "0",
    ),
    (
        "a user is made, who may use sudo",
        0,
        "useradd -m -u 1000 opam && echo 'opam ALL=(ALL:ALL) NOPASSWD:ALL' > /etc/sudoers.d/opam && id -un opam",
        "opam",
    ),
    ("sudo", 1000, "sudo id -un", "root"),
    (
        "sudo installs packages",
        1000,
        "sudo apt-get install -y --no-install-recommends hello > /tmp/log2 2>&1; hello -t",
        "hello, world",
    ),
    (
        "a C program is made and debugged",
        1000,
        "mkdir -p c && cd c && printf 'int main(void) { return 0; }' > a.c && \
         printf 'all: a\\n\\t./a\\n' > Makefile && make -j4 > log && ./a && echo made",
        "made",
    ),
    (
        "a 32-bit program",
        1000,
        "cd c && printf '#include <stdio.h>\\n#include <sys/socket.h>\\nint main(void) { \
         printf(\"%%d %%s\\\\n\", (int)sizeof(void*), \
         socket(AF_INET, SOCK_STREAM, 0) < 0 ? \"no socket\" : \"socket\"); }' > b.c && \
         gcc -m32 -o b b.c && setarch i386 ./b",
        "4 socket",
    ),
    (
        "Rust, with threads and tests",
        1000,
        "cargo new -q r && cd r && printf '#[test] fn t() { std::thread::spawn(|| 1).join().unwrap(); }\\n\
         fn main() { println!(\"rust\"); }' > src/main.rs && cargo test -q > log 2>&1 && cargo run -q",
        "rust",
    ),
    (
        "Go, with the race of its many threads",
        1000,
        "mkdir -p g && cd g && go mod init g 2> /dev/null; \
         printf 'package main\\nimport (\"fmt\"; \"os/exec\")\\nfunc main() { c := make(chan int); \
         for i := 0; i < 100; i++ { go func() { exec.Command(\"true\").Run(); c <- 1 }() }; \
         n := 0; for i := 0; i < 100; i++ { n += <-c }; fmt.Println(n) }' > main.go && \
         go vet && go build -o g && ./g",
        "100",
    ),
    (
        "Node, with workers and its own processes",
        1000,
        "node -e 'const w = require(\"worker_threads\"), c = require(\"child_process\"), fs = require(\"fs\"); \
         fs.writeFileSync(\"x\", \"y\"); fs.promises.readFile(\"x\").then(() => \
         new w.Worker(\"\", {eval: true}).on(\"exit\", () => \
         console.log(c.execSync(\"echo node\").toString().trim())))'",
        "node",
    ),
    (
        "git",
        1000,
        "git init -q repo && cd repo && git -c user.email=a@b -c user.name=c commit -q --allow-empty -m d && \
         git clone -q . ../clone && git -C ../clone log --format=%s",
        "d",
    ),
    (
        "opam builds a package without its sandbox",
        1000,
        "export OPAMYES=1 && opam init --bare --disable-sandboxing -n ./nowhere-$$ > /dev/null 2>&1; \
         mkdir -p repo-opam/packages/p/p.1 pkg && printf 'opam-version: \"2.0\"\\n' > repo-opam/repo && \
         printf 'opam-version: \"2.0\"\\nbuild: [[\"sh\" \"-c\" \"echo let x = 1 > x.ml && \
         ocamlc -c x.ml\"]]\\n' > repo-opam/packages/p/p.1/opam && \
         opam init --bare --disable-sandboxing -n local ./repo-opam > /tmp/log3 2>&1 && \
         opam switch create s --empty > /tmp/log4 2>&1 && opam install p > /tmp/log5 2>&1; \
         tail -n 1 /tmp/log5; opam list -s",
        "p",
    ),
    (
        "opam's own sandbox is not to be had",
        1000,
        "bwrap --ro-bind / / --unshare-net true 2> /dev/null && echo sandboxed || echo refused",
        "refused",
    ),
    (
        "strace-like tools",
        1000,
        "sudo apt-get install -y --no-install-recommends strace > /dev/null 2>&1; \
         strace -o /dev/null true && echo traced",
        "traced",
    ),
];

fn debian() -> PathBuf {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-trixie");
    if !made.exists() {
        let new = made.with_extension("new");
        drop(std::fs::remove_dir_all(&new));
        let status = process::Command::new("debootstrap")
            .args(["--variant=minbase", "--include=ca-certificates", "trixie"])
            .arg(&new)
            .status();
        assert!(status.unwrap().success());
        std::fs::rename(new, &made).unwrap();
    }
    made
}

fn story(room: &Room) {
    let rootfs = room.dir.path().join("debian");
    let copied = process::Command::new("cp")
        .arg("-a")
        .args([&debian(), &rootfs])
        .status();
    assert!(copied.unwrap().success());
    let sandbox = OciSandbox::open(
        &room.state(),
        room.runtime.clone(),
        SandboxOptions::default(),
    );
    let sandbox = sandbox.unwrap();
    let mut failed = Vec::new();
    for (what, uid, text, last) in STORY {
        let mut step = script(&format!("exec 2>&1; {text}"));
        step.network = Network::Host;
        step.env = vec![
            ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("DEBIAN_FRONTEND".into(), "noninteractive".into()),
        ];
        if *uid != 0 {
            step.user = User::Unix {
                uid: i64::from(*uid),
                gid: i64::from(*uid),
            };
            step.cwd = "/home/opam".into();
        }
        let (output, cancel) = (Text::default(), CancellationToken::new());
        let run = sandbox.run(&rootfs, &step, &output, &cancel);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let limited = async { tokio::time::timeout(LIMIT, run).await };
        let ended = runtime
            .block_on(tokio::task::LocalSet::new().run_until(limited))
            .unwrap();
        let shown = output.text();
        let worked = matches!(ended, Ok(Exit::Status(0))) && shown.lines().last() == Some(*last);
        println!("{what}: {}", if worked { "works" } else { "fails" });
        if !worked {
            failed.push(format!("{what}: {ended:?}: {shown}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn real_builds_with_runc() {
    with_runc("real_builds_with_runc", story);
}

#[test]
fn real_builds_builtin() {
    with_builtin("real_builds_builtin", story);
}
