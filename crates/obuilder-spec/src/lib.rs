//! The language of OBuilder's specs: what to build, one stage and one op at a time.
//!
//! It has no side effects: text goes in, values and diagnostics come out. The words of a spec are bytes, because files
//! may have any encoding; printing escapes what is not ASCII.
//!
//! ```
//! use obuilder_spec::dockerfile::{Options, Style};
//! use obuilder_spec::{Op, Spec};
//!
//! let text = b"((from busybox)\n (workdir /src)\n (run (shell make)))";
//! let spec = Spec::parse(text, "build.spec")?;
//! assert_eq!(spec.from, "busybox");
//! assert_eq!(spec.ops[0], Op::Workdir("/src".into()));
//! assert_eq!(spec.ops[1].heading("/src".into()), "/src: (run (shell make))");
//!
//! // What is printed can be parsed again.
//! assert_eq!(Spec::parse(&spec.to_bytes(), "printed.spec")?, spec);
//!
//! let options = Options { buildkit: false, style: Style::Unix };
//! let dockerfile = obuilder_spec::dockerfile(&spec, options).expect("a user that is a number");
//! assert_eq!(dockerfile, "FROM busybox\nWORKDIR /src\nRUN make\n");
//!
//! let error = Spec::parse(b"((from busybox)\n (wrokdir /src))", "build.spec").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "build.spec:2:3: unknown op \"wrokdir\": expected comment, workdir, shell, run, copy, user or env; \
//!      did you mean \"workdir\"?"
//! );
//! assert!(error.report().ends_with("\n 2 |  (wrokdir /src))\n   |   ^"));
//! # Ok::<(), obuilder_spec::SpecError>(())
//! ```
//!
//! A text goes through `lexer` (parentheses and words), `reader` (a tree in which each part has its position) and
//! `parse` (its meaning). `print` turns a spec into a tree of words, and `layout` that tree into lines. [`Sexp`] is the
//! syntax alone, in which the inputs of step ids and the small files of a store are written.
//! [`dockerfile`](fn@dockerfile) converts a spec for users who have Docker only.

mod cache_name;
pub mod dockerfile;
mod error;
mod fields;
mod layout;
mod lexer;
mod number;
mod parse;
mod position;
mod print;
mod quote;
mod reader;
mod scope;
pub mod sexp;
mod spec;
mod suggest;
mod syntax;

pub use cache_name::escape_cache_name;
pub use dockerfile::dockerfile;
pub use error::{Problem, SpecError};
pub use position::Position;
pub use print::{build_heading, from_heading};
pub use quote::quoted;
pub use sexp::{Sexp, SexpError};
pub use spec::{CacheMount, Copy, Op, Run, SecretMount, Source, Spec, User};
pub use syntax::SyntaxProblem;
