//! Invalid command lines, stores and specs.

use super::*;

#[test]
fn invalid_builds() {
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
            "obuilder build -f ok.spec src --secret token",
            "obuilder build -f ok.spec src --secret token:nowhere",
            "obuilder build -f ok.spec src --docker-cpus=2",
            "obuilder build -f ok.spec src --qemu-memory=2",
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

            $ obuilder build -f ok.spec src --secret token
            2> obuilder: invalid value 'token' for '--secret <ID:PATH>': invalid value 'token', missing a ':' \
                separator
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
        "#]],
    );
}

#[test]
fn invalid_stores() {
    let place = Place::new();
    check(
        &place,
        &[
            "obuilder df",
            "obuilder df --store=ext4:/x",
            "obuilder df --store=overlayfs:relative",
            "obuilder df --store=rsync:/x",
            "obuilder df --store=btrfs:/x --rsync-mode=copy",
            "obuilder df --store=rsync:/x --rsync-mode=symlink",
        ],
        &expect![[r#"
            $ obuilder df
            2> obuilder: required option '--store' is missing: name the store with --store=overlayfs:/path, \
                btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder df --store=ext4:/x
            2> obuilder: invalid value 'ext4:/x' for '--store <KIND:PATH>': Store must start with overlayfs:/, \
                btrfs:/, xfs:/, rsync:/ or zfs:
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder df --store=overlayfs:relative
            2> obuilder: invalid value 'overlayfs:relative' for '--store <KIND:PATH>': Store must start with \
                overlayfs:/, btrfs:/, xfs:/, rsync:/ or zfs:
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder df --store=rsync:/x
            2> obuilder: Store rsync:/ must supply an rsync-mode: --rsync-mode=copy or hardlink
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder df --store=btrfs:/x --rsync-mode=copy
            2> obuilder: the option '--rsync-mode' is for rsync:/path only, and this is a store of kind btrfs; \
                leave it out
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder df --store=rsync:/x --rsync-mode=symlink
            2> obuilder: invalid value 'symlink' for '--rsync-mode <MODE>': unknown rsync mode "symlink": use \
                copy, hardlink or hardlink_unsafe
            2> Try 'obuilder --help' for more information.
            [exit code 124]
        "#]],
    );
}

#[test]
fn other_invalid_command_lines() {
    let place = Place::new();
    check(
        &place,
        &[
            "obuilder delete zzz",
            "obuilder export 1234 --name=x",
            "obuilder ls --output=xml",
            "obuilder c",
            "obuilder cache gc",
        ],
        &expect![[r#"
            $ obuilder delete zzz
            2> obuilder: invalid value 'zzz' for '<ID>': an id has up to 64 hexadecimal digits
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder export 1234 --name=x
            2> obuilder: option '--name' requires --format=oci
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
            2> cannot open docker stores: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            [exit code 1]

            $ obuilder ls --store=qemu:state
            2> cannot open qemu stores: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            [exit code 1]

            $ obuilder ls --store=btrfs:$DIR/store
            2> cannot open the store $DIR/store: ext4 (or ext2, ext3) has no subvolumes; put the store on btrfs, \
                or use overlayfs:/path
            [exit code 1]

            $ obuilder healthcheck --store=overlayfs:$DIR/store --runtime=no-such-runtime
            2> cannot find the runtime "no-such-runtime": install it (on Debian: apt-get install runc), or \
                choose another with --runtime
            [exit code 1]
        "#]],
    );
}

#[test]
fn invalid_specs() {
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
            2> unknown.spec:2:3: unknown op "ran": expected comment, workdir, shell, run, copy, user or env; did \
                you mean "run"?
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
