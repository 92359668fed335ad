//! `ocluster top` on a terminal, with keys.

use crate::cluster::Cluster;

/// Waits until the terminal has shown a text, and presses keys, until the program has ended.
const SESSION: &str = r#"
export TERM=xterm
mkfifo keys
script -qefc 'stty cols 80 rows 24; ocluster top ./capnp-secrets/admin.cap; echo "code $?"' shown < keys > /dev/null &
exec 3> keys
see() {
    for attempt in $(seq 400); do
        if grep -qa -- "$1" shown; then return; fi
        sleep 0.1
    done
    echo "never shown: $1"
    cat shown
    exit 1
}
see linux-x86_64
printf 'j\r' >&3
see Workers:
see w1
printf '?' >&3
see Ctrl-C
printf 'q' >&3
see 'code 0'
exec 3>&-
wait
cat shown
"#;

#[test]
fn it_shows_a_cluster_until_the_user_quits() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let shown = cluster.place.bash(SESSION).success().stdout;
    // The terminal shows what it has shown before, with its cursor.
    let (screens, after) = shown.rsplit_once("\u{1b}[?1049l").expect(&shown);
    assert!(screens.contains("\u{1b}[?1049h"), "{screens:?}");
    assert!(after.contains("code 0"), "{after:?}");
    assert!(screens.contains("\u{1b}[?25h"), "{screens:?}");
}

#[test]
fn it_needs_a_terminal() {
    let cluster = Cluster::start();
    let line = "ocluster top ./capnp-secrets/admin.cap";
    for variables in [&[("TERM", "xterm")], &[("TERM", "dumb")]] {
        let outcome = cluster.place.run_with(variables, line);
        assert_eq!(outcome.code(), 1);
        let error = "cannot show screens: this is not a terminal that can be redrawn";
        assert!(outcome.stderr.contains(error), "{}", outcome.stderr);
    }
}
