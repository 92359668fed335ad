//! Chromium for tests of pages: Debian's `chromium`, without a window, driven over the DevTools protocol.
//!
//! A [`Browser`] is a process with a folder of its own. A [`Profile`] is a visitor: its pages share cookies, and no
//! other profile has them. A [`Page`] is a tab. It has the size and the colours of a [`Device`], and records what a
//! reader does not see: messages of the console, errors of scripts, and every request ([`Record`]). [`Axe`] checks
//! whether a page can be read by everybody.
//!
//! The browser knows no host but this machine: [`PageServer`] serves pages for it. Every wait has a limit. The process
//! ends with its `Browser`, or with the program that holds it.
//!
//! # Example
//!
//! ```no_run
//! use browser::{Browser, Device, PageServer};
//!
//! # fn main() -> anyhow::Result<()> {
//! let Some(browser) = Browser::or_not_run("example")? else { return Ok(()) };
//! let server = PageServer::start(&[("/", "<title>Pools</title><h1>Pools</h1>")])?;
//! let page = browser.profile()?.page(&Device::WIDE)?;
//! page.open(&server.url("/"))?;
//! assert_eq!(page.text("document.title")?, "Pools");
//! assert!(page.record()?.complaints.is_empty());
//! # Ok(())
//! # }
//! ```

mod axe;
mod connection;
mod device;
mod input;
mod message;
mod page;
mod page_server;
mod process;
mod profile;
mod record;

pub use axe::{Axe, built_files};
pub use device::{Colours, Device, Scripts};
pub use page::Page;
pub use page_server::PageServer;
pub use process::Browser;
pub use profile::{Cookie, Profile};
pub use record::Record;

use std::time::Duration;

/// The time limit for everything that a page is waited for. Most things take milliseconds; a busy machine needs longer.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);
