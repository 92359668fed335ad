//! Runs of the reference that were recorded: the same specs have the same ids, and the same logs.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use obuilder::builder::{Builder, Context, Parts};
use obuilder::sandbox::{Command, Exit, Sandbox, SandboxError};
use obuilder::{Fetcher, Sink};
use oci::Image;
use oci::fetch::FetchError;
use tokio_util::sync::CancellationToken;

use super::house::block_on;
use super::mock_store::MockStore;
use super::mocks::TestLog;
use super::recordings::{
    NAMES, make_source, recorded_log, recorded_spec, secrets, without_history,
};

/// The image of the recorded runs. Ids depend on its environment, and not on its files.
struct RecordedImage;

impl Fetcher for RecordedImage {
    fn fetch<'a>(
        &'a self,
        image: &'a str,
        _: &'a Path,
        _: &'a dyn Sink,
        _: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>> {
        assert_eq!(image, "base:test");
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let env = vec![
            ("PATH".into(), path.into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        Box::pin(async { Ok(Image { env }) })
    }
}

/// Does what the commands of the recorded runs did, as far as later steps see it.
struct RecordedCommands;

impl Sandbox for RecordedCommands {
    fn run<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
        output: &'a dyn Sink,
        _: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        let write = |file: &str, text: &str| fs::write(rootfs.join(file), text).unwrap();
        let words = command.argv.last().unwrap().to_string();
        let printed = match words.as_str() {
            "echo hi" => "hi\n",
            "pwd; id -u; echo [$A] [$B]" => "/srv/sub/x\n1000\n[] [two words]\n",
            "find /work /d /opt -type f -o -type l | sort" => {
                "/d/dir1/dir2/two\n/d/dir1/link\n/d/dir1/one\n/opt/bin/hello.txt\n/opt/bin/run.sh\n\
                 /opt/renamed.txt\n/work/all/café.txt\n/work/all/dir1/dir2/two\n/work/all/dir1/link\n\
                 /work/all/empty\n/work/all/hello.txt\n/work/all/run.sh\n/work/two\n"
            }
            "mkdir /out; echo tool > /out/tool; echo other > /out/other" => {
                fs::create_dir(rootfs.join("out")).unwrap();
                write("out/tool", "tool\n");
                write("out/other", "other\n");
                ""
            }
            "echo later > /later" => "",
            "cat /t2 > /final" => {
                write("final", "tool\n");
                ""
            }
            "cat /usr/local/out/tool /usr/local/out/other /final" => "tool\nother\ntool\n",
            "date > /var/one/stamp; ls /var/one" => "stamp\n",
            "wc -c /run/secrets/s1 /etc/s2" => " 2 /run/secrets/s1\n10 /etc/s2\n12 total\n",
            "echo three\necho four" => "three\nfour\n",
            long if long.starts_with("echo one && ") => {
                "one\ntwo\na very long line that goes past the margin of eighty columns for sure\n"
            }
            other => panic!("{other:?} was not recorded"),
        };
        output.write(printed.as_bytes()).unwrap();
        Box::pin(async { Ok(Exit::Status(0)) })
    }

    fn interact<'a>(
        &'a self,
        _: &'a Path,
        _: &'a Command,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        panic!("nothing was interactive")
    }
}

#[test]
fn recorded_runs() {
    let dir = tempfile::tempdir().unwrap();
    make_source(&dir.path().join("source"));
    let parts = Parts {
        store: MockStore::new(&dir.path().join("store")),
        sandbox: Rc::new(RecordedCommands),
        fetcher: Rc::new(RecordedImage),
    };
    let builder = Builder::open(parts).unwrap();
    for name in NAMES {
        let spec = recorded_spec(name);
        let build = || {
            let log = TestLog::new();
            let mut context = Context::new(dir.path().join("source"), log.clone());
            context.secrets = secrets();
            block_on(builder.build(&context, &spec)).unwrap();
            log.text()
        };
        let recorded = recorded_log(name);
        assert_eq!(
            without_history(&build()),
            without_history(&recorded),
            "{name}"
        );
        let cached = build();
        assert!(!cached.contains("saved as"), "{name}");
        if name == "04-nested" {
            assert_eq!(cached.replace(";-", "-"), recorded_log("04-nested.cached"));
        }
    }
}
