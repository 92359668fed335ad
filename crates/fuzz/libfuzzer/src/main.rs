//! LLVM's fuzzer with one target, from the environment variable `FUZZ_TARGET`.

#![no_main]

use std::cell::Cell;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::{Corpus, fuzz_target};

thread_local! {
    static TARGET: Cell<Option<Target>> = const { Cell::new(None) };
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let target = TARGET.get().unwrap_or_else(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = TARGETS.iter().find(|target| target.name == name);
        let target = *target.expect("FUZZ_TARGET names an existing target");
        TARGET.set(Some(target));
        target
    });
    if data.len() > target.longest {
        return Corpus::Reject;
    }
    (target.run)(data);
    Corpus::Keep
});
