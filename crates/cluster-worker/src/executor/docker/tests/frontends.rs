//! Which frontends of BuildKit a Dockerfile may name.

use super::*;

fn with_dockerfile(dockerfile: &str, args: &[&str], buildkit: bool) -> Description {
    Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents(dockerfile.into()),
        build_args: args.iter().map(|&arg| arg.to_owned()).collect(),
        buildkit,
        ..DockerBuild::default()
    }))
}

#[test]
fn only_allowed_frontends_are_used() {
    local(async {
        let usual = "# syntax=docker/dockerfile:1\nFROM x\n";
        let worker = Worker::new(SHOWS_DOCKERFILES);
        worker
            .check(
                &with_dockerfile(usual, &[], true),
                expect![[r##"
                    Ignoring "# syntax=docker/dockerfile:1": this worker builds with the engine's own BuildKit
                        frontend, and those of --buildkit-frontends
                    FROM x
                    # syntax=docker/dockerfile:1
                    => Ok("")
                "##]],
            )
            .await;
        // For the classic builder it is a comment.
        worker
            .check(
                &with_dockerfile(usual, &[], false),
                expect![[r##"
                    # syntax=docker/dockerfile:1
                    FROM x
                    # syntax=docker/dockerfile:1
                    => Ok("")
                "##]],
            )
            .await;
        worker
            .check(
                &with_dockerfile(OTHER_FRONTEND, &[], true),
                expect![[r#"
                    => Err(Failed("the BuildKit frontend \"evil/front\" is not allowed on this worker: do without
                        it, or ask the worker's operator to add it to --buildkit-frontends"))
                "#]],
            )
            .await;
        let arg = ["BUILDKIT_SYNTAX=evil/front"];
        worker
            .check(&with_dockerfile("FROM x\n", &arg, true), expect![[r#"
                => Err(Failed("the BuildKit frontend \"evil/front\" is not allowed on this worker: do without
                    it, or ask the worker's operator to add it to --buildkit-frontends"))
            "#]])
            .await;
    });
}

#[test]
fn operators_can_allow_frontends() {
    local(async {
        let config = DockerConfig {
            frontends: vec!["evil/front".into()],
            ..DockerConfig::default()
        };
        let worker = Worker::with_config(SHOWS_DOCKERFILES, config);
        worker
            .check(
                &with_dockerfile(OTHER_FRONTEND, &[], true),
                expect![[r##"
                    # syntax=evil/front
                    FROM x
                    # syntax=evil/front
                    => Ok("")
                "##]],
            )
            .await;
    });
}
