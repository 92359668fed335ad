//! `obuilder`, as a user runs it.

mod mistakes;
mod reading;
mod sharing;

use std::os::unix::fs::symlink;
use std::path::Path;

use expect_test::{Expect, expect};
use rustix::process::Signal;

use crate::harness::{Place, folded};

/// Checks the output of each of the command lines.
fn check(place: &Place, lines: &[&str], expected: &Expect) {
    let transcripts: Vec<String> = lines
        .iter()
        .map(|line| place.run(line).transcript())
        .collect();
    expected.assert_eq(&transcripts.join("\n"));
}

#[test]
fn a_spec_as_a_dockerfile() {
    let place = Place::new();
    place.write(
        "a.spec",
        "((build tools ((from base) (run (shell \"make tools\"))))
          (from base)
          (comment hi)
          (user (uid 1) (gid 2))
          (run (cache (c (target /data))) (shell \"one\\n two\"))
          (copy (from (build tools)) (src a b) (dst /bin/)))",
    );
    check(
        &place,
        &[
            "obuilder dockerfile -f a.spec",
            "obuilder dockerfile -f a.spec --buildkit --escape=windows",
            "obuilder dock -f a.spec --build --escape=dos",
        ],
        &expect![[r#"
            $ obuilder dockerfile -f a.spec
            FROM base as tools
            RUN make tools

            FROM base
            # hi
            USER 1:2
            RUN one \
                two
            COPY --chown=1:2 --from=tools a b /bin/


            $ obuilder dockerfile -f a.spec --buildkit --escape=windows
            #escape=`
            FROM base as tools
            RUN make tools

            FROM base
            # hi
            USER 1:2
            RUN --mount=type=cache,id=c,target=/data,uid=1 one `
                two
            COPY --chown=1:2 --from=tools a b /bin/


            $ obuilder dock -f a.spec --build --escape=dos
            2> obuilder: invalid value 'dos' for '--escape <STYLE>'
            2>   [possible values: unix, windows]
            2> Try 'obuilder --help' for more information.
            [exit code 124]
        "#]],
    );
}

/// Makes a small root filesystem with a shell in `image/`, a spec, and what it copies. `None` where steps cannot be
/// run.
fn builder_place(test: &str) -> Option<Place> {
    let busybox = Path::new("/bin/busybox");
    if !rustix::process::geteuid().is_root() || !busybox.exists() {
        rig::report_not_run(test, "root, and a busybox that is linked statically");
        return None;
    }
    let place = Place::new();
    let bin = place.path().join("image/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy(busybox, bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "sleep"] {
        symlink("busybox", bin.join(name)).unwrap();
    }
    place.write("src/hello.txt", "hello\n");
    place.write(
        "a.spec",
        "((from busybox)
          (shell /bin/sh -c)
          (copy (src .) (dst /src/))
          (run (cache (c (target /cache))) (secrets (token (target /token)))
               (shell \"cat /token /src/hello.txt > /out; echo done\"))
          (run (shell \"cat /out; exit 3\")))",
    );
    place.write("token", "a secret\n");
    Some(place)
}

/// Runs command lines in which `$STORE` stands for the options of a store.
fn story(place: &Place, lines: &[&str], expected: &Expect) {
    let store = store(place);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("$STORE", &store))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let transcripts: Vec<String> = lines
        .iter()
        .map(|line| {
            let store = store.replace(&place.path().display().to_string(), "$DIR");
            let text = place.run(line).raw_transcript();
            folded(&without_times(&without_sizes(
                &text.replace(&store, "$STORE"),
            )))
        })
        .collect();
    expected.assert_eq(&transcripts.join("\n"));
}

/// Returns `text` with the times of steps replaced.
fn without_times(text: &str) -> String {
    let mut pieces = text.split("The step took ");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece
            .find(['\n', '\u{1b}'])
            .and_then(|end| piece.get(end..));
        shown += "The step took TIME";
        shown += rest.unwrap_or_default();
    }
    shown
}

/// Returns `text` without sizes, as not every busybox has the same.
fn without_sizes(text: &str) -> String {
    let mut pieces: Vec<&str> = text.split(" MB").collect();
    let last = pieces.pop().unwrap_or_default();
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let sizes = pieces
        .iter()
        .map(|piece| format!("{}SIZE", piece.trim_end_matches(digits)));
    sizes.chain([last.to_owned()]).collect()
}

fn store(place: &Place) -> String {
    format!(
        "--store=overlayfs:{}/store --runtime=builtin",
        place.path().display()
    )
}

/// Checks a build that fails in its last step.
fn check_failing_build(place: &Place) {
    story(
        place,
        &[
            "obuilder image import busybox image $STORE",
            "obuilder build -f a.spec src --secret token:token $STORE",
        ],
        &expect![[r#"
            $ obuilder image import busybox image $STORE
            Imported docker.io/library/busybox:latest (directory, SIZE)

            $ obuilder build -f a.spec src --secret token:token $STORE
            (from busybox)
            Using the image docker.io/library/busybox:latest (SIZE) that was imported from $DIR/image
            Unpacked 5 files, SIZE
            The step took TIME
            ---> saved as "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91"
            /: (shell /bin/sh -c)
            /: (copy (src .) (dst /src/))
            The step took TIME
            ---> saved as "497b16d4f3e2baaaac59d6a051e887a4184701705cac31cc5d2da298bb0c7948"
            /: (run (cache (c (target /cache)))
                    (secrets (token (target /token)))
                    (shell "cat /token /src/hello.txt > /out; echo done"))
            done
            The step took TIME
            ---> saved as "d40846235b240cffb5e8a687f5dfc1aad5bde4294f537faeaa90526071acce6b"
            /: (run (shell "cat /out; exit 3"))
            ***
            hello
            The step took TIME
            2> Build step failed: "/bin/sh" "-c" "cat /out; exit 3" failed with exit status 3
            [exit code 1]
        "#]],
    );
}

#[test]
fn a_build_and_its_results() {
    let Some(place) = builder_place("a_build_and_its_results") else {
        return;
    };
    check_failing_build(&place);
    let spec = std::fs::read_to_string(place.path().join("a.spec")).unwrap();
    place.write("a.spec", &spec.replace("; exit 3", ""));
    story(
        &place,
        &[
            "obuilder build -f a.spec src --secret token:token --color=always $STORE",
            "obuilder ls --no-sizes $STORE",
            "obuilder cache ls $STORE",
            "obuilder cache ls --output=json $STORE",
        ],
        &expect![[r#"
            $ obuilder build -f a.spec src --secret token:token --color=always $STORE
            [94m(from busybox)[0m
            [33m---> using "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91" from cache[0m
            [94m/: (shell /bin/sh -c)[0m
            [94m/: (copy (src .) (dst /src/))[0m
            [33m---> using "497b16d4f3e2baaaac59d6a051e887a4184701705cac31cc5d2da298bb0c7948" from cache[0m
            [94m/: (run (cache (c (target /cache)))
                    (secrets (token (target /token)))
                    (shell "cat /token /src/hello.txt > /out; echo done"))[0m
            done
            [33m---> using "d40846235b240cffb5e8a687f5dfc1aad5bde4294f537faeaa90526071acce6b" from cache[0m
            [94m/: (run (shell "cat /out"))[0m
            ***
            hello
            [33mThe step took TIME[0m
            [33m---> saved as "babc600b2ce02445e69fb43eb2440d18b3cbae2fe7ace5a991ba774156317a32"[0m
            Got: "babc600b2ce02445e69fb43eb2440d18b3cbae2fe7ace5a991ba774156317a32"

            $ obuilder ls --no-sizes $STORE
            RESULT        SIZE  MADE      LAST USED  STEP
            9d75f0d7c398  -     just now  just now   (from busybox)
            497b16d4f3e2  -     just now  just now   /: (copy (src .) (dst /src/))
            d40846235b24  -     just now  just now   /: (run (cache (c (target /cache))) (secrets (token (target \
                …
            babc600b2ce0  -     just now  just now   /: (run (shell "cat /out"))

            $ obuilder cache ls $STORE
            c

            $ obuilder cache ls --output=json $STORE
            {
              "caches": [
                {
                  "name": "c"
                }
              ]
            }
        "#]],
    );
}

/// Checks a build of one step.
fn check_first_build(place: &Place) {
    story(
        place,
        &[
            "obuilder image import busybox image $STORE",
            "obuilder build -f a.spec src $STORE",
        ],
        &expect![[r#"
            $ obuilder image import busybox image $STORE
            Imported docker.io/library/busybox:latest (directory, SIZE)

            $ obuilder build -f a.spec src $STORE
            (from busybox)
            Using the image docker.io/library/busybox:latest (SIZE) that was imported from $DIR/image
            Unpacked 5 files, SIZE
            The step took TIME
            ---> saved as "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91"
            /: (shell /bin/sh -c)
            /: (run (shell "echo made; echo made > /made"))
            made
            The step took TIME
            ---> saved as "5dc089a7588a3dd34dbed0df33f30f6d4d8c0c892c640bf9ca792d178cc4998a"
            Got: "5dc089a7588a3dd34dbed0df33f30f6d4d8c0c892c640bf9ca792d178cc4998a"
        "#]],
    );
}

#[test]
fn a_result_can_be_run_and_exported() {
    let Some(place) = builder_place("a_result_can_be_run_and_exported") else {
        return;
    };
    place.write(
        "a.spec",
        "((from busybox) (shell /bin/sh -c) (run (shell \"echo made; echo made > /made\")))",
    );
    place.write(
        "b.spec",
        "((from localhost:1/copy) (shell /bin/sh -c) (run (shell \"cat /made\")))",
    );
    check_first_build(&place);
    story(
        &place,
        &[
            "obuilder log 5d $STORE",
            "obuilder shell 5d $STORE -- /bin/cat /made",
            "obuilder shell 5d $STORE -- /bin/sh nowhere",
            "obuilder export 5d --format=oci -o copy.tar $STORE",
            "obuilder image import localhost:1/copy copy.tar $STORE",
            "obuilder build -f b.spec src $STORE",
            "obuilder export 5d -o nowhere/copy.tar $STORE",
        ],
        &expect![[r#"
            $ obuilder log 5d $STORE
            made

            $ obuilder shell 5d $STORE -- /bin/cat /made
            made

            $ obuilder shell 5d $STORE -- /bin/sh nowhere
            2> /bin/sh: can't open 'nowhere': No such file or directory
            [exit code 2]

            $ obuilder export 5d --format=oci -o copy.tar $STORE

            $ obuilder image import localhost:1/copy copy.tar $STORE
            Imported localhost:1/copy:latest (OCI layout, SIZE)

            $ obuilder build -f b.spec src $STORE
            (from localhost:1/copy)
            Using the image localhost:1/copy:latest (SIZE) that was imported from $DIR/copy.tar
            Unpacked 11 files, SIZE
            The step took TIME
            ---> saved as "87f804789e6b6a0d264bf15cc5e26e10fb08773a2ee65b76c95be2de459a8a64"
            /: (shell /bin/sh -c)
            /: (run (shell "cat /made"))
            made
            The step took TIME
            ---> saved as "407bb8f492edcd80f2047d034a5e30834c200c863eb357752f2ea527793d87c2"
            Got: "407bb8f492edcd80f2047d034a5e30834c200c863eb357752f2ea527793d87c2"

            $ obuilder export 5d -o nowhere/copy.tar $STORE
            2> cannot write "nowhere/copy.tar": No such file or directory (os error 2)
            [exit code 1]
        "#]],
    );
}

/// Checks the commands that remove all results, a cache mount and an image.
fn check_removal(place: &Place) {
    story(
        place,
        &[
            "obuilder clean $STORE",
            "obuilder ls $STORE",
            "obuilder cache rm c $STORE",
            "obuilder cache rm c $STORE",
            "obuilder image rm busybox $STORE",
            "obuilder image rm busybox $STORE",
            "obuilder healthcheck $STORE",
        ],
        &expect![[r#"
            $ obuilder clean $STORE
            Removing 98f5d05df49b4e2d5e49bdd72e4e86f02610005a8c665ff3c63d76b2cb887978
            Removing 80c44b2afa9061129874ebdc58b9f7deb69c09dc30e3c8134592624b512b1afe
            Removing 9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91
            Removed 3 items

            $ obuilder ls $STORE
            RESULT  SIZE  MADE  LAST USED  STEP

            $ obuilder cache rm c $STORE

            $ obuilder cache rm c $STORE
            2> there is no cache mount "c"
            2> Hint: run `obuilder cache ls` for a list
            [exit code 1]

            $ obuilder image rm busybox $STORE

            $ obuilder image rm busybox $STORE
            2> there is no imported image "busybox"
            2> Hint: run `obuilder image ls` for a list
            [exit code 1]

            $ obuilder healthcheck $STORE
            Healthcheck passed
        "#]],
    );
}

#[test]
fn results_caches_and_images_are_removed() {
    let Some(place) = builder_place("results_caches_and_images_are_removed") else {
        return;
    };
    place.write(
        "a.spec",
        "((from busybox) (shell /bin/sh -c)
          (run (cache (c (target /cache))) (shell \"echo 1\")) (run (shell \"echo 2\")))",
    );
    let store = store(&place);
    for line in ["image import busybox image", "build -f a.spec src"] {
        drop(place.run(&format!("obuilder {line} {store}")).success());
    }
    story(
        &place,
        &[
            "obuilder delete 9d $STORE",
            "obuilder delete 9d $STORE",
            "obuilder build -f a.spec src $STORE",
        ],
        &expect![[r#"
            $ obuilder delete 9d $STORE
            Removing 98f5d05df49b4e2d5e49bdd72e4e86f02610005a8c665ff3c63d76b2cb887978
            Removing 80c44b2afa9061129874ebdc58b9f7deb69c09dc30e3c8134592624b512b1afe
            Removing 9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91

            $ obuilder delete 9d $STORE
            2> there is no result whose id begins with 9d
            2> Hint: run `obuilder ls` for a list
            [exit code 1]

            $ obuilder build -f a.spec src $STORE
            (from busybox)
            Using the image docker.io/library/busybox:latest (SIZE) that was imported from $DIR/image
            Unpacked 5 files, SIZE
            The step took TIME
            ---> saved as "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91"
            /: (shell /bin/sh -c)
            /: (run (cache (c (target /cache)))
                    (shell "echo 1"))
            1
            The step took TIME
            ---> saved as "80c44b2afa9061129874ebdc58b9f7deb69c09dc30e3c8134592624b512b1afe"
            /: (run (shell "echo 2"))
            2
            The step took TIME
            ---> saved as "98f5d05df49b4e2d5e49bdd72e4e86f02610005a8c665ff3c63d76b2cb887978"
            Got: "98f5d05df49b4e2d5e49bdd72e4e86f02610005a8c665ff3c63d76b2cb887978"
        "#]],
    );
    check_removal(&place);
}

#[test]
fn ctrl_c_cancels_a_build_and_cleans_up() {
    let Some(place) = builder_place("ctrl_c_cancels_a_build_and_cleans_up") else {
        return;
    };
    place.write(
        "a.spec",
        "((from busybox) (shell /bin/sh -c) (run (shell \"echo started; sleep 1000\")))",
    );
    let store = store(&place);
    let import = format!("obuilder image import busybox image {store}");
    drop(place.run(&import).success());
    let mut build = place.start(&format!("obuilder build -f a.spec src {store}"));
    build.wait_for_output("\nstarted");
    build.signal(Signal::INT);
    let outcome = build.wait();
    assert_eq!(outcome.code(), 130);
    assert_eq!(outcome.stderr, "Cancelled at user's request\n");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(&place.path().display().to_string()),
        "{mounts}"
    );
    // It has waited for the container's end: there is nothing for the next start to remove.
    let containers = place.path().join("store/state/sandbox");
    assert_eq!(std::fs::read_dir(containers).unwrap().count(), 0);
    // Only the image is left.
    let list = place.run(&format!("obuilder ls {store}")).success();
    assert_eq!(list.stdout.lines().count(), 2, "{}", list.stdout);
}

#[test]
fn on_a_terminal_a_long_step_shows_its_time() {
    let Some(place) = builder_place("on_a_terminal_a_long_step_shows_its_time") else {
        return;
    };
    place.write(
        "a.spec",
        "((from busybox) (shell /bin/sh -c) (run (shell \"printf part; sleep 2; echo; sleep 3\")))",
    );
    let store = store(&place);
    let import = format!("obuilder image import busybox image {store}");
    drop(place.run(&import).success());
    let build = format!("obuilder build -f a.spec src {store}");
    let outcome = place.start_on_terminal(&build).wait().success();
    let shown = outcome.stdout;
    assert!(shown.contains("s] /: (run (shell "), "{shown}");
    // It appears after a whole line, and is erased before the next one.
    assert!(shown.contains("part\r\n"), "{shown}");
    assert!(
        shown.contains("\r\u{1b}[K\u{1b}[33mThe step took"),
        "{shown}"
    );
}
