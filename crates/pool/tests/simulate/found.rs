//! What the simulator prints when it finds a bug; kept up to date by `finds_a_planted_bug`.

use super::story::*;

#[test]
fn found_by_simulation() {
    let mut s = Story::probing_after(15);
    let w34 = s.register("w4");
    s.activate(w34, WORKER);
    s.pop(w34);
    s.submit("alice", "job110", "b");
    s.release(w34);
    s.pause();
}
