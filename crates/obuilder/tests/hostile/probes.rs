//! What a step has and can reach, as it sees it itself: the facts that the page about security compares runtimes by.

use expect_test::expect;

use crate::room::{Room, script};

crate::for_each_runtime! {
    what_a_step_has
}

/// Prints one fact a line. It needs nothing but bash, coreutils, grep and sed.
const PROBE: &str = r"
status() { sed -n s/^$1:[[:space:]]*//p /proc/self/status; }
echo capabilities: $(status CapEff), at most $(status CapBnd)
echo no new privileges: $(status NoNewPrivs)
echo filter: $(status Seccomp)
";

fn what_a_step_has(room: &Room) {
    expect![[r"
        capabilities: 00000000a80401fb, at most 00000000a80401fb
        no new privileges: 0
        filter: 0
    "]]
    .assert_eq(&room.output(&script(PROBE)));
}
