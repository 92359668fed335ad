//! `obuilder`, as a user runs it.

use expect_test::{Expect, expect};

use crate::harness::Place;

/// Checks what is said about each of the command lines.
fn check(place: &Place, lines: &[&str], expected: &Expect) {
    let transcripts: Vec<String> = lines
        .iter()
        .map(|line| place.run(line).transcript())
        .collect();
    expected.assert_eq(&transcripts.join("\n"));
}

#[test]
fn command_lines_that_make_no_sense() {
    let place = Place::new();
    place.write("ok.spec", "((from busybox))");
    place.write("src/file", "");
    check(
        &place,
        &[
            "obuilder build src",
            "obuilder build -f no.spec src",
            "obuilder build -f ok.spec nowhere",
            "obuilder build -f ok.spec src/file",
            "obuilder build -f ok.spec src",
            "obuilder build -f ok.spec src --store=ext4:/x",
            "obuilder build -f ok.spec src --store=overlayfs:relative",
            "obuilder build -f ok.spec src --store=rsync:/x",
            "obuilder build -f ok.spec src --store=btrfs:/x --rsync-mode=copy",
            "obuilder build -f ok.spec src --store=rsync:/x --rsync-mode=symlink",
            "obuilder build -f ok.spec src --secret token",
            "obuilder build -f ok.spec src --secret token:nowhere",
            "obuilder build -f ok.spec src --docker-cpus=2",
            "obuilder build -f ok.spec src --qemu-memory=2",
            "obuilder delete zzz",
            "obuilder export 1234 --name=x",
            "obuilder ls --output=xml",
            "obuilder c",
            "obuilder cache gc",
        ],
        &expect![[r#"
            $ obuilder build src
            2> obuilder: the following required arguments were not provided:
            2>   -f <FILE>
            2> 
            2> Usage: obuilder build -f <FILE> <DIR>
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f no.spec src
            2> obuilder: option '-f': no 'no.spec' file or directory
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec nowhere
            2> obuilder: argument DIR: no 'nowhere' directory
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src/file
            2> obuilder: argument DIR: no 'src/file' directory
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src
            2> obuilder: Store type required must be one of btrfs:/path, rsync:/path, xfs:/path, zfs:pool, qemu:/path, hcs:path or docker:path for the OBuilder cache.
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --store=ext4:/x
            2> obuilder: invalid value 'ext4:/x' for '--store <KIND:PATH>': Store must start with zfs:, btrfs:/, rsync:/, xfs:/, qemu:/, hcs: or overlayfs:
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --store=overlayfs:relative
            2> obuilder: invalid value 'overlayfs:relative' for '--store <KIND:PATH>': Store must start with zfs:, btrfs:/, rsync:/, xfs:/, qemu:/, hcs: or overlayfs:
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --store=rsync:/x
            2> obuilder: Store rsync:/ must supply an rsync-mode
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --store=btrfs:/x --rsync-mode=copy
            2> obuilder: Store type required must be one of btrfs:/path, rsync:/path, xfs:/path, zfs:pool, qemu:/path, hcs:path or docker:path for the OBuilder cache.
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --store=rsync:/x --rsync-mode=symlink
            2> obuilder: invalid value 'symlink' for '--rsync-mode <MODE>': unknown rsync mode "symlink": use copy, hardlink or hardlink_unsafe
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --secret token
            2> obuilder: invalid value 'token' for '--secret <ID:PATH>': invalid value 'token', missing a ':' separator
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --secret token:nowhere
            2> obuilder: option '--secret': no 'nowhere' file or directory
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --docker-cpus=2
            2> obuilder: option '--docker-cpus' is not supported yet: there are no docker: stores
            2> Hint: start it without this option
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder build -f ok.spec src --qemu-memory=2
            2> obuilder: option '--qemu-memory' is not supported yet: there are no qemu: stores
            2> Hint: start it without this option
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder delete zzz
            2> obuilder: invalid value 'zzz' for '<ID>': an id has up to 64 hexadecimal digits
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder export 1234 --name=x
            2> obuilder: option '--name' is for images: add --format=oci
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder ls --output=xml
            2> obuilder: invalid value 'xml' for '--output <FORMAT>'
            2>   [possible values: text, json]
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder c
            2> obuilder: command 'c' ambiguous and could be either 'clean' or 'cache'
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder cache gc
            2> obuilder: unknown command 'gc'
            2> Try 'obuilder --help' for more information.
            [exit code 124]
        "#]],
    );
}

#[test]
fn stores_that_cannot_be_opened() {
    let place = Place::new();
    let here = place.path().display();
    check(
        &place,
        &[
            "obuilder ls --store=docker:state",
            "obuilder ls --store=qemu:state",
            &format!("obuilder ls --store=btrfs:{here}/store"),
            &format!(
                "obuilder healthcheck --store=overlayfs:{here}/store --runtime=no-such-runtime"
            ),
        ],
        &expect![[r#"
            $ obuilder ls --store=docker:state
            2> no docker stores here: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            [exit code 1]

            $ obuilder ls --store=qemu:state
            2> no qemu stores here: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            [exit code 1]

            $ obuilder ls --store=btrfs:$DIR/store
            2> "$DIR/store" is on a filesystem of type 0xef53, which has no subvolumes: put the store on btrfs, or use overlayfs:/path
            [exit code 1]

            $ obuilder healthcheck --store=overlayfs:$DIR/store --runtime=no-such-runtime
            2> there is no runtime "no-such-runtime": install it (on Debian: apt-get install runc), or name another with --runtime
            [exit code 1]
        "#]],
    );
}

#[test]
fn specs_that_make_no_sense() {
    let place = Place::new();
    place.write("open.spec", "((from busybox)\n (run (shell \"make\"))");
    place.write("unknown.spec", "((from busybox)\n (ran (shell make)))");
    place.write(
        "scope.spec",
        "((from a)\n (copy (from (build b)) (src x) (dst y)))",
    );
    place.write("src/file", "");
    check(
        &place,
        &[
            "obuilder build -f open.spec src",
            "obuilder build -f unknown.spec src",
            "obuilder dockerfile -f scope.spec",
        ],
        &expect![[r#"
            $ obuilder build -f open.spec src
            2> open.spec:1:1: unclosed list: expected a `)` for this `(`, found the end of the text
            2>  1 | ((from busybox)
            2>    | ^
            [exit code 1]

            $ obuilder build -f unknown.spec src
            2> unknown.spec:2:3: unknown op "ran": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
            2>  2 |  (ran (shell make)))
            2>    |   ^
            [exit code 1]

            $ obuilder dockerfile -f scope.spec
            2> scope.spec:2:14: Unknown build "b" in (copy (from (build b)) (src x) (dst y)).
            2>  2 |  (copy (from (build b)) (src x) (dst y)))
            2>    |              ^
            [exit code 1]
        "#]],
    );
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
