//! Who may see and do what.
//!
//! A visitor comes in with the link that a capability gave out, or is named by a proxy that is trusted. Without
//! either, a visitor sees nothing, or names and numbers if the operator has made them public.

mod address_token;
mod cookie;
mod guesses;
mod proxy;
mod visitor;

pub use self::cookie::{CookieError, LIFETIME, Session, SessionKey};
pub(crate) use self::guesses::Guesses;
pub use self::proxy::{ProxySettings, TrustedNetwork, TrustedNetworkError};
pub use self::visitor::{Holder, Role, Visitor};
