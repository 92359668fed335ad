//! A step that passes a descriptor of its root filesystem to another, which goes on writing when the first is done.

use std::process::Command;

use obuilder::StepId;
use obuilder::builder::Builder;
use rig::{Layer, LayerFile, OciImage, report_not_run};

use crate::site::{BASE, Kind, Site, builtin, names};

crate::for_each_store! {
    a_descriptor_passed_over_an_abstract_socket
}

async fn a_descriptor_passed_over_an_abstract_socket(kind: Kind, name: String) {
    let site = Site::new(kind, builtin(), &name);
    let program = site.path("passing");
    let compiled = Command::new("gcc")
        .args(["-static", "-o"])
        .arg(&program)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/system/passing.c"
        ))
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return report_not_run(&name, "gcc, and a static libc");
    }
    let program = std::fs::read(&program).unwrap();
    let layer = Layer::of(&[LayerFile::File("passing", 0o755, &program)]).unwrap();
    let builder = site.open();
    let image = OciImage::new(vec![Layer::busybox().unwrap(), layer]);
    site.import(&builder, BASE, image);

    let socket = format!("obuilder-test-{}-{name}", std::process::id());
    let step = |what: &str| {
        format!(
            r#"((from {BASE}) (shell /bin/sh -c) (run (network host) (shell "/passing {what} {socket}")))"#
        )
    };
    let (context, log) = site.context();
    let taker = crate::site::parse(&step("take"));
    let taking = builder.build(&context, &taker);
    let giving = async {
        while !log.text().contains("listening") {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let (id, _) = site.built(&builder, &step("give")).await;
        let published = files(&builder, &id).await;
        (id, published)
    };
    let (taken, (id, published)) = tokio::join!(taking, giving);
    taken.unwrap_or_else(|error| panic!("{error}: {}", log.text()));
    assert_eq!(files(&builder, &id).await, published, "it was written to");
    site.close(builder);
}

/// Returns the names of what is at the top of a result.
async fn files(builder: &Builder, id: &StepId) -> Vec<String> {
    let view = builder.store().view(id).await.unwrap();
    names(view.rootfs())
}
