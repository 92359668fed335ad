//! Results as images, with the programs that are to load them as judges.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use oci::export::{Export, write_image, write_tar};
use oci::{Platform, RunConfig};
use rig::Rig;

use crate::support::{Machine, block_on, has, run, tree};

/// A tree with something of every kind.
fn make_tree(root: &Path) {
    let long = root.join("long").join("n".repeat(120));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::write(long.join("файл"), "text").unwrap();
    std::fs::write(root.join("large"), vec![7; 1_000_000]).unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::fs::hard_link(root.join("large"), root.join("long/large-too")).unwrap();
    std::os::unix::fs::symlink("../x/".repeat(40), root.join("link")).unwrap();
    std::fs::set_permissions(root.join("empty"), PermissionsExt::from_mode(0o4711)).unwrap();
    std::os::unix::fs::chown(root.join("long"), Some(3_000_000), Some(5)).unwrap();
    let (dir, flags) = (rustix::fs::CWD, rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(root.join("large"), "user.lines", b"a\nb\0", flags).unwrap();
    rustix::fs::lsetxattr(root.join("link"), "trusted.on-a-link", b"x", flags).unwrap();
    for (name, kind, device) in [
        (
            "null",
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::makedev(1, 3),
        ),
        (
            "disk",
            rustix::fs::FileType::BlockDevice,
            rustix::fs::makedev(259, 300),
        ),
        ("fifo", rustix::fs::FileType::Fifo, 0),
    ] {
        rustix::fs::mknodat(dir, root.join(name), kind, 0o640.into(), device).unwrap();
    }
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
}

fn config() -> RunConfig {
    RunConfig {
        env: vec!["PATH=/bin".to_owned(), "A=b=c".to_owned()],
        user: "1000:100".to_owned(),
        working_dir: "/long".to_owned(),
        entrypoint: vec!["/bin/sh".to_owned(), "-c".to_owned()],
        cmd: vec!["/bin/sh".to_owned()],
    }
}

fn export(machine: &Machine, root: &Path, file: &str) -> PathBuf {
    let mut out = Vec::new();
    let export = Export {
        rootfs: root,
        config: &config(),
        name: Some("result:v1"),
        platform: &Platform::here(),
        created_by: "obuilder",
    };
    write_image(&export, &mut out).unwrap();
    machine.write(file, out)
}

#[test]
fn a_tree_survives_being_packed_and_unpacked() {
    let machine = Machine::new();
    let root = machine.path("tree");
    make_tree(&root);
    let mut out = Vec::new();
    write_tar(&root, &mut out).unwrap();
    std::fs::remove_file(root.join("socket")).unwrap();
    // Removing the socket has changed nothing that is compared: the root itself is not.
    machine.unpack(&[&out]).unwrap();
    assert_eq!(machine.tree(), tree(&root));
    assert_eq!(
        machine.rootfs().join("large").metadata().unwrap().nlink(),
        2
    );
}

#[test]
fn gnu_tar_reads_it_too() {
    if !has("gnu_tar_reads_it_too", &["tar"]) {
        return;
    }
    let machine = Machine::new();
    let root = machine.path("tree");
    make_tree(&root);
    std::fs::remove_file(root.join("socket")).unwrap();
    let mut out = Vec::new();
    write_tar(&root, &mut out).unwrap();
    let file = machine.write("tree.tar", out);
    let (file, into) = (
        file.display().to_string(),
        machine.rootfs().display().to_string(),
    );
    let args = [
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-C",
        &into,
        "-xpf",
        &file,
    ];
    run("tar", &args).unwrap();
    let without_links = |lines: Vec<String>| -> Vec<String> {
        // GNU tar restores no attributes of links.
        lines
            .into_iter()
            .filter(|line| !line.starts_with("link "))
            .collect()
    };
    assert_eq!(without_links(machine.tree()), without_links(tree(&root)));
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let machine = Machine::new();
    let root = machine.path("tree");
    make_tree(&root);
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let first = read(export(&machine, &root, "first.tar"));
    run(
        "cp",
        &[
            "-a",
            root.to_str().unwrap(),
            machine.path("copy").to_str().unwrap(),
        ],
    )
    .unwrap();
    let second = read(export(&machine, &machine.path("copy"), "second.tar"));
    assert!(first == second);
}

#[test]
fn skopeo_accepts_the_image_and_umoci_unpacks_the_tree() {
    let test = "skopeo_accepts_the_image_and_umoci_unpacks_the_tree";
    if !has(test, &["skopeo", "umoci"]) {
        return;
    }
    let machine = Machine::new();
    let root = machine.path("tree");
    make_tree(&root);
    std::fs::remove_file(root.join("socket")).unwrap();
    let file = export(&machine, &root, "image.tar").display().to_string();
    for kind in ["oci-archive", "docker-archive"] {
        let config = run(
            "skopeo",
            &["inspect", "--config", &format!("{kind}:{file}")],
        )
        .unwrap();
        assert!(config.contains("\"PATH=/bin\""), "{config}");
        let layout = machine.path(kind).display().to_string();
        let (from, to) = (format!("{kind}:{file}"), format!("oci:{layout}:v1"));
        run(
            "skopeo",
            &["--insecure-policy", "copy", "--quiet", &from, &to],
        )
        .unwrap();
        let bundle = machine.path(&format!("{kind}-bundle"));
        let image = format!("{layout}:v1");
        run(
            "umoci",
            &["unpack", "--image", &image, bundle.to_str().unwrap()],
        )
        .unwrap();
        assert_eq!(tree(&bundle.join("rootfs")), tree(&root));
    }
}

#[test]
fn an_exported_image_can_be_imported() {
    let machine = Machine::new();
    let root = machine.path("tree");
    make_tree(&root);
    std::fs::remove_file(root.join("socket")).unwrap();
    let file = export(&machine, &root, "image.tar");
    assert_eq!(machine.import("again", &file).unwrap().kind, "OCI layout");
    let image = block_on(machine.fetch("again")).unwrap();
    assert_eq!(machine.tree(), tree(&root));
    assert_eq!(
        image.env,
        [("PATH".into(), "/bin".into()), ("A".into(), "b=c".into())]
    );
}

#[test]
fn docker_loads_an_exported_image() {
    let Some(rig) = Rig::or_not_run("docker_loads_an_exported_image") else {
        return;
    };
    let machine = Machine::new();
    let root = machine.path("tree");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "hello").unwrap();
    let file = export(&machine, &root, "image.tar").display().to_string();
    let loaded = rig
        .docker
        .run(&["load", "--quiet", "--input", &file])
        .unwrap();
    assert_eq!(loaded, "Loaded image: result:v1");
    let env = rig.docker.run(&[
        "image",
        "inspect",
        "--format",
        "{{.Config.Env}} {{.Config.User}} {{.Config.WorkingDir}} {{.Config.Entrypoint}} {{.Config.Cmd}}",
        "result:v1",
    ]);
    assert_eq!(
        env.unwrap(),
        "[PATH=/bin A=b=c] 1000:100 /long [/bin/sh -c] [/bin/sh]"
    );
    rig.docker.run(&["image", "rm", "result:v1"]).unwrap();
}

#[test]
fn names_that_no_image_can_have_are_refused() {
    let machine = Machine::new();
    let platform = Platform::here();
    let rootfs = machine.rootfs();
    let export = Export {
        rootfs: &rootfs,
        config: &config(),
        name: Some("Not A Name"),
        platform: &platform,
        created_by: "",
    };
    let error = write_image(&export, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"Not A Name\" is not the name of an image"
    );
}
