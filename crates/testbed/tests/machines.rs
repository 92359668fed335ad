//! The machines of `cargo xtask test`: an engine with an image, and a registry that it can push to.

use anyhow::Result;
use rig::Rig;

#[test]
fn an_image_is_pushed_and_pulled() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_image_is_pushed_and_pulled") else {
        return Ok(());
    };
    let (docker, registry) = (&rig.docker, &rig.registry);
    let image = registry.image("machines/busybox:1");
    docker.run(&[
        "login",
        "-u",
        &registry.user,
        "-p",
        &registry.password,
        &registry.address,
    ])?;
    docker.run(&["tag", "busybox", &image])?;
    docker.run(&["push", "--quiet", &image])?;
    docker.run(&["image", "rm", &image])?;
    let greeting = docker.run(&["run", "--rm", "--pull=always", &image, "echo", "hello"])?;
    assert_eq!(greeting, "hello");
    // Other tests share the engine, and must not be logged in.
    docker.run(&["logout", &registry.address])?;
    Ok(())
}
