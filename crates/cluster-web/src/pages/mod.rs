//! A struct for each page: with its template it is HTML, and serialized it is JSON.

mod enter;
mod notice;

pub use enter::Enter;
pub use notice::Notice;
