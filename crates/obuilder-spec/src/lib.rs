//! The language of OBuilder's specs: what to build, one stage and one op at a time.
//!
//! Pure: text goes in, values and diagnostics come out. The words of a spec are bytes, as they are in the files that
//! people have; printing escapes what is not ASCII.

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
