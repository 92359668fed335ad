//! Reads whatever the fuzzer comes up with, and prints and converts what turns out to be a spec.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obuilder_spec::dockerfile::{Options, Style};
use obuilder_spec::{Sexp, Spec, dockerfile};

fuzz_target!(|text: &[u8]| {
    match Spec::parse(text, "fuzz.spec") {
        Ok(spec) => {
            let printed = spec.to_bytes();
            let again = Spec::parse(&printed, "printed.spec").expect("what is printed can be read");
            assert_eq!(again, spec);
            assert_eq!(again.to_bytes(), printed);
            for style in [Style::Unix, Style::Windows] {
                // An error is an answer too; only a panic is none.
                let buildkit = true;
                drop(dockerfile(&spec, Options { buildkit, style }));
            }
        }
        Err(error) => drop(error.report()),
    }
    if let Ok(sexp) = Sexp::parse(text) {
        assert_eq!(Sexp::parse(&sexp.to_machine()), Ok(sexp));
    }
});
