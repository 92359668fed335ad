//! Reading a store while a build uses it, and which image a name means.

use super::*;

/// As beside a worker, which keeps its store open.
#[test]
fn a_store_is_read_while_a_build_has_it() {
    let Some(place) = builder_place("a_store_is_read_while_a_build_has_it") else {
        return;
    };
    let made = "(from busybox) (shell /bin/sh -c)
                (run (cache (c (target /c))) (shell \"echo said; echo made > /made\"))";
    place.write("a.spec", &format!("({made})"));
    place.write(
        "b.spec",
        &format!("({made} (run (shell \"echo started; sleep 1000\")))"),
    );
    let store = store(&place);
    for line in ["image import busybox image", "build -f a.spec src"] {
        drop(place.run(&format!("obuilder {line} {store}")).success());
    }
    let list = place
        .run(&format!("obuilder ls --no-sizes {store}"))
        .success()
        .stdout;
    let id = list
        .lines()
        .nth(2)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let mut build = place.start(&format!("obuilder build -f b.spec src {store}"));
    build.wait_for_output("\nstarted");
    let run = |line: &str| place.run(&format!("obuilder {line} {store}"));
    let command = |line: &str, rest: &str| place.run(&format!("obuilder {line} {store} -- {rest}"));

    // The list is unchanged, and has the op of each.
    let shown = run("ls").success().stdout;
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(
        shown.contains("(from busybox)") && shown.contains("echo said"),
        "{shown}"
    );
    assert_eq!(run(&format!("log {id}")).success().stdout, "said\n");
    assert_eq!(
        command(&format!("shell {id}"), "/bin/cat /made")
            .success()
            .stdout,
        "made\n"
    );
    drop(run(&format!("export {id} -o copy.tar")).success());
    let usage = run("df").success().stdout;
    assert_eq!(
        usage.lines().nth(1).unwrap().split_whitespace().nth(1),
        Some("2"),
        "{usage}"
    );
    assert_eq!(run("cache ls").success().stdout, "c\n");
    drop(run("image ls").success());
    // Commands that change the store have to wait, and their error names those that need not.
    for line in ["clean", "cache rm c", "build -f a.spec src"] {
        let refused = run(line);
        assert_eq!(refused.code(), 1, "{line}");
        assert!(
            refused.stderr.contains("is in use by obuilder (pid "),
            "{}",
            refused.stderr
        );
    }
    let guests = place.path().join("store/guests");
    assert_eq!(std::fs::read_dir(guests).unwrap().count(), 0);
    build.signal(Signal::INT);
    assert_eq!(build.wait().code(), 130);
}

#[test]
fn a_name_means_the_newest_import() {
    let Some(place) = builder_place("a_name_means_the_newest_import") else {
        return;
    };
    let spec = "((from busybox) (shell /bin/sh -c) (run (shell \"cat /marker\")))";
    place.write("a.spec", spec);
    let store = store(&place);
    let build = || {
        let import = format!("obuilder image import busybox image {store}");
        drop(place.run(&import).success());
        let build = format!("obuilder build -f a.spec src {store}");
        place.run(&build).success().stdout
    };
    place.write("image/marker", "the first\n");
    let first = build();
    assert!(first.contains("\nthe first\n"), "{first}");
    place.write("image/marker", "the second\n");
    let second = build();
    assert!(second.contains("\nthe second\n"), "{second}");
    // To import the same again makes nothing anew.
    let again = build();
    assert!(again.contains("\nthe second\n"), "{again}");
    assert!(!again.contains("saved as"), "{again}");
    // What was made of the first is there.
    let list = place
        .run(&format!("obuilder ls --no-sizes {store}"))
        .success();
    assert_eq!(list.stdout.lines().count(), 5, "{}", list.stdout);
}
