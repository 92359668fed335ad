//! Ids are the reference's.

use bstr::BString;
use obuilder::builder::StepInputs;
use obuilder::sandbox::{Command, Mount, Network, SecretFile};
use obuilder_spec::{Sexp, User};

const BUSYBOX: &str = "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91";

/// What does not change in a chain of runs.
struct Chain<'a> {
    workdir: &'a str,
    user: User,
    env: Vec<(BString, BString)>,
    shell: Vec<BString>,
}

impl Chain<'_> {
    /// Checks the id of each command after the base image.
    fn check(&self, (image, base): (&str, &str), commands: &[(&str, &str)]) {
        let mut last = StepInputs::Base(image.into()).id();
        assert_eq!(last.to_string(), base);
        for (command, id) in commands {
            last = self.command(command).inputs(last).id();
            assert_eq!(last.to_string(), *id, "{command}");
        }
    }

    fn command(&self, command: &str) -> Command {
        let mut argv = self.shell.clone();
        argv.push(command.into());
        Command {
            argv,
            cwd: self.workdir.into(),
            user: self.user.clone(),
            env: self.env.clone(),
            network: Network::None,
            secrets: Vec::new(),
            mounts: Vec::new(),
        }
    }
}

fn words(words: &[&str]) -> Vec<BString> {
    words.iter().copied().map(BString::from).collect()
}

#[test]
fn windows() {
    let chain = Chain {
        workdir: "C:/",
        user: User::Named("ContainerAdministrator".into()),
        env: Vec::new(),
        shell: words(&["cmd", "/S", "/C"]),
    };
    let base = "bc3bc8408e84c12c2b5f24aa91b444894b55e26069b66e8034890634b08aef1d";
    assert_eq!(
        BString::from(
            chain
                .command("echo hello > world")
                .inputs(base.parse().unwrap())
                .text()
        ),
        concat!(
            "((base bc3bc8408e84c12c2b5f24aa91b444894b55e26069b66e8034890634b08aef1d)(workdir C:/)",
            "(user((name ContainerAdministrator)))(env())(cmd\"echo hello > world\")(shell(cmd /S /C))",
            "(network())(mount_secrets()))"
        )
    );
    chain.check(
        ("mcr.microsoft.com/windows/servercore:ltsc2022", base),
        &[
            (
                "echo hello > world",
                "ac4488b2ca69de829c9a8bbcd9efa2ddff493a3b5888a53ec20a1343ea34b2bd",
            ),
            (
                "type world",
                "7332a0565a4047bdd2c0b778bf3a9175518218879547eb8ddde6832d57861153",
            ),
        ],
    );
}

#[test]
fn unix() {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let chain = Chain {
        workdir: "/",
        user: User::ROOT,
        env: vec![("PATH".into(), path.into())],
        shell: words(&["/bin/bash", "-c"]),
    };
    chain.check(
        (
            "patricoferris/empty@sha256:b95ca2b377dd736f609f0a10d63318c9f627a817823cf416402a29bfe9202bb9",
            "1e8a7b908b7883f051110a922dc647791b81e0d658f5c1bdd8242d9ab898f8ae",
        ),
        &[
            (
                "mkdir hello",
                "ba0dc81067c02a45ad4a8cdbbca046aa1e59a37deca612c6a4f8698ae67e200f",
            ),
            (
                "echo 'hello world' > ./hello/hello.txt",
                "ee3328c16f05527e80a95b87c110aac986495aef607f14b9ef4371398a8659d8",
            ),
            (
                "cat ./hello/hello.txt",
                "c97a5a234cc9bfcc601b2f7a98975bf294fa7552301c182358fc32ceb21308d8",
            ),
            (
                "rm -rf hello",
                "de2d77926d7e89828a3578ef5173bbce6050e2a7e39488b1de54dcffa864a600",
            ),
            (
                "ls",
                "0b38a347b26152e1115a76902af06ff34a4f38aa2182e3af04e2867801fce841",
            ),
        ],
    );
}

#[test]
fn everything_of_a_run() {
    let secret = |value: &str, target: &str| SecretFile {
        value: value.into(),
        target: target.into(),
    };
    let env = [("B", "2"), ("A", ""), ("PATH", "/bin:/usr/bin")];
    let env: Vec<(BString, BString)> = env.map(|(k, v)| (k.into(), v.into())).into();
    let mut command = Command {
        argv: words(&["/bin/sh", "-c", "echo \"hi\"\nls"]),
        cwd: "/src".into(),
        user: User::Unix {
            uid: 1000,
            gid: 1000,
        },
        env,
        network: Network::Host,
        secrets: vec![secret("x", "/a"), secret("top secret", "/b")],
        mounts: Vec::new(),
    };
    let base = StepInputs::Base("busybox".into()).id();
    let id = command.inputs(base).id();
    // What is mounted is the variant's.
    command.mounts.push(Mount {
        source: "/cache".into(),
        target: "/c".into(),
    });
    assert_eq!(command.inputs(base).id(), id);
    let inputs = command.inputs(base);
    assert_eq!(
        BString::from(inputs.text()),
        format!(
            "((base {BUSYBOX})(workdir /src)(user((uid 1000)(gid 1000)))\
             (env((B 2)(A\"\")(PATH /bin:/usr/bin)))(cmd\"echo \\\"hi\\\"\\nls\")(shell(/bin/sh -c))\
             (network(host))(mount_secrets(((value\"top secret\")(target /b))((value x)(target /a)))))"
        )
    );
    assert_eq!(
        inputs.id().to_string(),
        "e2489d54a274c8236f01d8e1e7c537897f926b7e0081c98069ddf71545f33b3e"
    );
}

#[test]
fn copies() {
    let digest = "8e6537b695ff181bc341e32d8b8970485ac3513408e5eb1e8ba9fc5af1cd3f57";
    let base = BUSYBOX.parse().unwrap();
    let one = format!("(op(Copy_item((File(file {digest}))/dst)))");
    let inputs = StepInputs::Copy {
        base,
        user: &User::ROOT,
        manifest: &Sexp::parse(one.as_bytes()).unwrap(),
    };
    assert_eq!(
        inputs.id().to_string(),
        "d261ed0f73ccdfeb85635f27e254bc5cd985b57eadf786d64060fa3cda72906c"
    );
    let many = format!(
        r#"(op(Copy_items(((Dir(""((File(file {digest}))(Symlink(link /root))))))/src/)))"#
    );
    let inputs = StepInputs::Copy {
        base,
        user: &User::Unix {
            uid: 1000,
            gid: 1000,
        },
        manifest: &Sexp::parse(many.as_bytes()).unwrap(),
    };
    assert_eq!(
        inputs.id().to_string(),
        "a1f8fdd4c1c2d69f8a3bbb0020c69cce333e0c0d7853e1b03265944b6e572abc"
    );
}
