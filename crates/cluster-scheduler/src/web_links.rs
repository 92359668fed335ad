//! Links to the pages. Each is used once, soon, and is no secret of any capability.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use cluster_api::{RpcError, WebLink};
use cluster_web::access::{Holder, Role};
use cluster_web::cluster::Redeemed;
use jobs::JobId;
use pool::Time;
use sha2::{Digest as _, Sha256};

use crate::clients::{Digest, access_of};
use crate::clock::Clock;

/// How long a link can be used.
const LASTS: Duration = Duration::from_secs(10 * 60);

/// How many links there are at most; one more takes the place of the oldest.
const MAX_LINKS: usize = 10_000;

/// How many links one holder has at most; one more takes the place of its oldest.
const MAX_OF_HOLDER: usize = 20;

/// How many random bytes the secret of a link has.
const SECRET_BYTES: usize = 32;

/// The links that nobody has used.
pub(crate) struct Links {
    clock: Clock,
    /// Where the pages are served.
    url: OnceCell<String>,
    unused: RefCell<Unused>,
}

#[derive(Default)]
struct Unused {
    by_digest: HashMap<Digest, Link>,
    /// The same, oldest first; some may have been used.
    by_age: VecDeque<Digest>,
}

struct Link {
    redeemed: Redeemed,
    until: Time,
}

impl Links {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            url: OnceCell::new(),
            unused: RefCell::default(),
        }
    }

    /// Pages are served at this address.
    pub(crate) fn serve_at(&self, url: String) {
        // An error means that it was known before.
        self.url.set(url).ok();
    }

    /// Makes a link to a page.
    pub(crate) fn make(&self, holder: Holder, page: String) -> Result<WebLink, RpcError> {
        let Some(url) = self.url.get() else {
            return Err(RpcError::failed(
                "cannot make a link: this scheduler serves no pages; start it with --web=ADDR",
            ));
        };
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| RpcError::failed(format!("cannot make a link: {error}")))?;
        let secret = bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            write!(text, "{byte:02x}").ok();
            text
        });
        let until = self.clock.now() + LASTS;
        let link = Link {
            redeemed: Redeemed { holder, page },
            until,
        };
        self.unused.borrow_mut().add(digest(&secret), link);
        Ok(WebLink {
            url: format!("{url}/enter#{secret}"),
            lasts: LASTS,
        })
    }

    /// Uses up the link with this secret.
    pub(crate) fn redeem(&self, secret: &str) -> Option<Redeemed> {
        let link = self.unused.borrow_mut().by_digest.remove(&digest(secret))?;
        (self.clock.now() < link.until).then_some(link.redeemed)
    }
}

impl Unused {
    fn add(&mut self, digest: Digest, link: Link) {
        self.by_age
            .retain(|digest| self.by_digest.contains_key(digest));
        let of_holder = |digest: &&Digest| {
            let other = self.by_digest.get(*digest);
            other.is_some_and(|other| other.redeemed.holder.role == link.redeemed.holder.role)
        };
        let oldest = match self.by_age.iter().filter(of_holder).count() {
            MAX_OF_HOLDER.. => self.by_age.iter().find(of_holder),
            _ if self.by_age.len() >= MAX_LINKS => self.by_age.front(),
            _ => None,
        };
        if let Some(oldest) = oldest.copied() {
            self.by_digest.remove(&oldest);
            self.by_age.retain(|digest| *digest != oldest);
        }
        self.by_digest.insert(digest, link);
        self.by_age.push_back(digest);
    }
}

/// Returns the address of the page of a job.
pub(crate) fn page_of(job: JobId) -> String {
    format!("/job/{job}")
}

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret).into()
}

impl Links {
    /// Returns the holder of the administration.
    pub(crate) fn admin(by: String) -> Holder {
        Holder {
            role: Role::Admin,
            by,
        }
    }

    /// Returns the client that is reached by the secret with this digest.
    pub(crate) fn client(name: &str, digest: &Digest) -> Holder {
        Holder {
            role: Role::Client {
                name: name.to_owned(),
                access: access_of(digest),
            },
            by: name.to_owned(),
        }
    }

    /// Returns those who may see a job, and nothing else.
    pub(crate) fn job(id: String) -> Holder {
        Holder {
            role: Role::Job { id },
            by: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(link: &WebLink) -> &str {
        link.url.split_once('#').unwrap().1
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_is_used_once_and_soon() {
        let links = Links::new(Clock::start());
        let refused = links.make(Links::admin(String::new()), "/".to_owned());
        assert!(refused.unwrap_err().reason.contains("--web"));
        links.serve_at("http://scheduler".to_owned());
        let make = |page: &str| links.make(Links::admin("ann@service".to_owned()), page.to_owned());

        let link = make("/job/1").unwrap();
        assert!(link.url.starts_with("http://scheduler/enter#"));
        let redeemed = links.redeem(secret(&link)).unwrap();
        assert_eq!(
            (redeemed.page.as_str(), redeemed.holder.by.as_str()),
            ("/job/1", "ann@service")
        );
        assert_eq!(links.redeem(secret(&link)), None);

        let late = make("/").unwrap();
        tokio::time::advance(LASTS).await;
        assert_eq!(links.redeem(secret(&late)), None);
        assert_eq!(links.redeem(""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_holder_takes_no_links_from_others() {
        let links = Links::new(Clock::start());
        links.serve_at("http://scheduler".to_owned());
        let admin = links
            .make(Links::admin(String::new()), "/".to_owned())
            .unwrap();
        let alice = Links::client("alice", &[7; 32]);
        let made: Vec<_> = (0..=MAX_OF_HOLDER)
            .map(|_| links.make(alice.clone(), "/".to_owned()).unwrap())
            .collect();
        assert_eq!(links.redeem(secret(&made[0])), None);
        assert!(links.redeem(secret(&made[1])).is_some());
        assert!(links.redeem(secret(&admin)).is_some());
    }
}
