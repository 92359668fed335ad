//! What the simulator prints when it finds a bug; kept up to date by `finds_a_planted_bug`.

use super::story::*;

#[test]
fn found_by_simulation() {
    let mut s = Story::new();
    let w25 = s.register("w1");
    s.submit_urgent("bob", "job26", "");
    s.pop(w25);
    s.pop(w25);
    s.pop(w25);
    s.pop(w25);
    let w74 = s.register("w4");
    s.pop(w74);
    s.register("w2");
    s.activate(w74, WORKER);
    s.activate(w25, WORKER);
    s.pause();
    s.submit_urgent("carol", "job138", "b");
    s.release(w25);
    s.pause();
}
