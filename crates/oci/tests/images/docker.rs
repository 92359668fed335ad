//! Images of a local Docker engine: a real one, and scripts in its place.

use std::os::unix::fs::PermissionsExt;

use oci::fetch::FetchError;
use rig::{LayerFile, Rig, architecture, tar};

use crate::support::{Machine, block_on};

/// A machine with a script for `docker`, which writes down what it is asked.
fn machine_with(script: &str) -> Machine {
    let mut machine = Machine::new();
    let folder = machine.folder.path().display().to_string();
    machine.write(
        "export.tar",
        tar(&[LayerFile::File("file", 0o644, b"x")]).unwrap(),
    );
    let inspected = format!(
        r#"{{"Os":"linux","Architecture":"{}","Config":{{"Env":["A=1"],"User":"opam"}}}}"#,
        architecture()
    );
    let script = script.replace("INSPECTED", &inspected);
    let program = machine.write(
        "docker",
        format!("#!/bin/sh\ncd {folder}\necho \"$*\" >> asked\ncase $1 in\n{script}\nesac\n"),
    );
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    machine.settings.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    machine.settings.docker = Some(program);
    machine
}

fn asked(machine: &Machine) -> String {
    std::fs::read_to_string(machine.path("asked")).unwrap()
}

const HAS_IT: &str = "image) echo 'INSPECTED';; create) echo c0;; export) cat export.tar;; rm) ;;";

/// Where nothing listens, as long as nothing is started on the port that is for discarding.
const NOWHERE: &str = "127.0.0.1:9/image:v1";

#[test]
fn an_image_of_the_engine_is_copied_and_the_container_removed() {
    let machine = machine_with(HAS_IT);
    let image = block_on(machine.fetch("image:v1")).unwrap();
    assert_eq!(image.env, [("A".into(), "1".into())]);
    assert_eq!(machine.names(), ["file"]);
    expect_test::expect![[r#"
        image inspect --format {{json .}} -- docker.io/library/image:v1
        create -- docker.io/library/image:v1 true
        export -- c0
        rm --force -- c0
    "#]]
    .assert_eq(&asked(&machine));
    expect_test::expect![[r#"
        Using the image image:v1 that the Docker engine has
        Of the image's settings, only the environment is used: its user "opam" must be set in the spec
        Unpacked 1 file, 2.0 kB
    "#]].assert_eq(&machine.log.text());
}

#[test]
fn the_engine_pulls_an_image_that_no_other_source_has() {
    let machine = machine_with(
        "image) [ -e pulled ] || { echo 'Error: No such image: x' >&2; exit 1; }; echo 'INSPECTED';;\n\
         pull) echo 'Status: \u{1b}[1mDownloaded' >&2; touch pulled;;\n\
         create) echo c0;; export) cat export.tar;; rm) ;;",
    );
    block_on(machine.fetch(NOWHERE)).unwrap();
    assert_eq!(machine.names(), ["file"]);
    let log = machine.log.text();
    assert!(
        log.contains("Cannot get the image from the Docker engine: Error: No such image: x\n"),
        "{log}"
    );
}

#[test]
fn an_image_that_no_source_has_is_an_error_with_all_sources() {
    let machine = machine_with("*) echo \"no $1\" >&2; exit 1;;");
    let error = block_on(machine.fetch(NOWHERE)).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot get the image \"127.0.0.1:9/image:v1\": it was not imported; the Docker engine: no image; \
         the registry 127.0.0.1:9: error sending request: client error (Connect): tcp connect error: \
         Connection refused (os error 111); `docker pull`: it failed: see the log of the engine; to use a file \
         instead, run `obuilder image import 127.0.0.1:9/image:v1 FILE`"
    );
}

#[test]
fn the_container_is_removed_when_its_files_cannot_be_had() {
    let machine = machine_with(
        "image) echo 'INSPECTED';; create) echo c0;; export) head -c 700 export.tar; echo broke >&2; exit 1;;",
    );
    let error = block_on(machine.fetch(NOWHERE)).unwrap_err().to_string();
    assert!(error.contains("the Docker engine: broke"), "{error}");
    assert!(asked(&machine).contains("rm --force -- c0\n"));
    assert_eq!(machine.names(), [""; 0]);
}

#[test]
fn an_export_is_cancelled_and_the_container_removed() {
    let machine = machine_with(
        "image) echo 'INSPECTED';; create) echo c0;; export) touch exporting; exec sleep 1000;; rm) ;;",
    );
    let cancel_when_it_exports = async {
        while !machine.path("exporting").exists() {
            tokio::task::yield_now().await;
        }
        machine.cancel.cancel();
        std::future::pending::<()>().await;
    };
    let fetched = block_on(async {
        tokio::select! {
            fetched = machine.fetch("image:v1") => fetched,
            () = cancel_when_it_exports => unreachable!("it waits for ever"),
        }
    });
    assert!(matches!(fetched, Err(FetchError::Cancelled)), "{fetched:?}");
    assert!(asked(&machine).ends_with("rm --force -- c0\n"));
}

#[test]
fn an_image_for_another_machine_is_not_copied() {
    let machine =
        machine_with(&HAS_IT.replace("INSPECTED", r#"{"Os":"linux","Architecture":"m68k"}"#));
    let error = block_on(machine.fetch(NOWHERE)).unwrap_err().to_string();
    assert!(
        error.contains("it has the image for linux/m68k, and this is linux/"),
        "{error}"
    );
}

#[test]
fn images_of_a_real_engine_are_copied() {
    let Some(rig) = Rig::or_not_run("a_real_engine_gives_what_it_has") else {
        return;
    };
    let mut machine = Machine::new();
    machine.settings.docker = Some(rig.docker.program());
    machine.settings.env = rig
        .docker
        .env()
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    block_on(machine.fetch("busybox"))
        .unwrap_or_else(|error| panic!("{error} {}", machine.log.text()));
    assert!(machine.rootfs().join("bin/busybox").is_file());
    let left = rig
        .docker
        .run(&["ps", "--all", "--quiet", "--filter", "ancestor=busybox"])
        .unwrap();
    assert_eq!(left, "");
}
