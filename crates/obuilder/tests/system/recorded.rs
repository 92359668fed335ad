//! Runs of the reference that were recorded, repeated for real: the same specs print the same, byte for byte.

use obuilder::sandbox::Runtime;

use crate::recordings::{
    NAMES, make_source, recorded_log, recorded_spec, secrets, without_history,
};
use crate::site::{Kind, Site, builtin, runc};

crate::for_each_store! {
    recorded_runs
}

/// The environment of the image of the recorded runs. Ids depend on it, and not on the image's files.
const ENV: [&str; 2] = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
];

async fn recorded_runs(kind: Kind, name: String) {
    let site = Site::new(kind, runtime(kind), &name);
    make_source(&site.source());
    let builder = site.open_with_host(&ENV);
    // What importing the image prints is ours, and depends on the image.
    let imported = site.built(&builder, "((from base:test))").await.1.output();
    for name in NAMES {
        let spec = recorded_spec(name);
        let build = async || {
            let (mut context, log) = site.context();
            context.secrets = secrets();
            let built = builder.build(&context, &spec).await;
            built.unwrap_or_else(|error| panic!("{name}: {error}: {}", log.text()));
            log.text().replace(&imported, "")
        };
        let (built, recorded) = (build().await, recorded_log(name));
        assert_eq!(
            without_history(&built),
            without_history(&recorded),
            "{name}"
        );
        let cached = build().await;
        assert!(!cached.contains("saved as"), "{cached}");
        assert_eq!(
            without_history(&cached),
            without_history(&recorded),
            "{name}"
        );
        if name == "04-nested" {
            assert_eq!(cached, recorded_log("04-nested.cached"));
        }
    }
    site.close(builder);
}

fn runtime(kind: Kind) -> Runtime {
    match kind {
        Kind::Overlayfs => runc(),
        _ => builtin(),
    }
}
