//! What the simulator prints when it finds a bug; kept up to date by `finds_a_planted_bug`.

use super::story::*;

#[test]
fn found_by_simulation() {
    let mut s = Story::probing_after(15);
    let w4 = s.register("w3");
    let w14 = s.register("w1");
    s.activate(w14, WORKER);
    s.activate(w4, WORKER);
    s.pop(w14);
    s.submit("alice", "job44", "b");
    s.pop(w4);
    s.submit("carol", "job120", "");
    s.release(w4);
    s.pause();
}
