//! What the simulator prints when it finds a bug; kept up to date by `finds_a_planted_bug`.

use super::story::*;

#[test]
fn found_by_simulation() {
    let mut s = Story::new();
    let w6 = s.register("w2");
    s.activate(w6, WORKER);
    s.pop(w6);
    s.submit("bob", "job19", "a");
    s.release(w6);
    s.pause();
}
