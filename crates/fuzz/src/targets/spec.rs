//! Specs: parsing and printing one does not change it, and its Dockerfile can be printed.

use obuilder_spec::dockerfile::{Options, Style};
use obuilder_spec::{Sexp, Spec, dockerfile};

pub(super) fn run(text: &[u8]) {
    match Spec::parse(text, "fuzz.spec") {
        Ok(spec) => {
            let printed = spec.to_bytes();
            let again = Spec::parse(&printed, "printed.spec").expect("a printed spec can be read");
            assert_eq!(again, spec);
            assert_eq!(again.to_bytes(), printed);
            for style in [Style::Unix, Style::Windows] {
                for buildkit in [true, false] {
                    // An error is allowed, and a panic is not.
                    drop(dockerfile(&spec, Options { buildkit, style }));
                }
            }
        }
        Err(error) => {
            let report = error.report();
            let steers = |c: char| c.is_control() && c != '\n';
            assert!(!report.chars().any(steers), "{report:?}");
        }
    }
    if let Ok(sexp) = Sexp::parse(text) {
        assert_eq!(Sexp::parse(&sexp.to_machine()), Ok(sexp));
    }
}
