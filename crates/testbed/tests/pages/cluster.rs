//! A cluster whose scheduler serves pages, with a worker that runs scripts, and visitors of these pages.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use browser::{Browser, Device, Page, Profile};
use rig::Rig;
use testbed::{POOL, Site, WAIT_LIMIT, peak_memory};

/// The options of a worker that runs the payload of a custom job as a script, and nothing else.
const SCRIPTS: &str = "--custom=script=bash";

/// A cluster with pages, and a browser.
pub(crate) struct Pages {
    pub(crate) site: Site,
    pub(crate) browser: Browser,
    pub(crate) address: SocketAddr,
    /// The host in links.
    host: String,
    /// The jobs that were submitted.
    jobs: RefCell<Vec<String>>,
}

impl Pages {
    /// Starts them, or returns `None` for the test `name` without machines or a browser.
    pub(crate) fn start(name: &str) -> Result<Option<Self>> {
        Self::start_at(name, "127.0.0.1")
    }

    /// Like [`start`](Self::start), with pages under the name `host`.
    pub(crate) fn start_at(name: &str, host: &str) -> Result<Option<Self>> {
        let (Some(rig), Some(browser)) = (Rig::or_not_run(name), Browser::or_not_run(name)?) else {
            return Ok(None);
        };
        // A fixed port, so that links lead to the same place after a restart.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let web = format!("--web={port}");
        // So that its log has all that it would ever have of addresses.
        let verbose = "--verbosity=debug";
        let url = format!("--web-url=http://{host}:{port}");
        let mut site = Site::start_with(&rig, &[POOL, "linux-arm64"], &[&web, &url, verbose])?;
        site.cluster
            .start_obuilder_worker(POOL, "w1", &[SCRIPTS, "--capacity=2"])?;
        Ok(Some(Self {
            site,
            browser,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            host: host.to_owned(),
            jobs: RefCell::default(),
        }))
    }

    /// Returns what the addresses of all pages begin with.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}:{}", self.host, self.address.port())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.origin() + path
    }

    /// Returns a link for an operator.
    pub(crate) fn operators_link(&self) -> Result<String> {
        self.link("ocluster-admin web ./capnp-secrets/admin.cap")
    }

    /// Returns the link that a command prints.
    pub(crate) fn link(&self, command: &str) -> Result<String> {
        let output = self.site.run(command)?.check(0, &[]);
        let link = output.stdout.trim().to_owned();
        ensure!(link.starts_with(&self.origin()), "no link: {link}");
        Ok(link)
    }

    /// Returns an operator who has come in with a link.
    pub(crate) fn operator(&self) -> Result<Profile> {
        self.visitor(&self.operators_link()?)
    }

    /// Returns a visitor who has come in with `link`.
    pub(crate) fn visitor(&self, link: &str) -> Result<Profile> {
        let profile = self.browser.profile()?;
        let page = profile.page(&Device::WIDE)?;
        page.open(link)?;
        page.wait_for("!location.pathname.startsWith('/enter')")?;
        Ok(profile)
    }

    /// Submits a job that runs `script`, and returns its id.
    pub(crate) fn submit(&self, script: &str, options: &[&str]) -> Result<String> {
        let submit = self.site.custom("script", script)?;
        let output = submit
            .args(&["--detach"])
            .args(options)
            .run()?
            .check(0, &[]);
        let id = output.stdout.split_whitespace().next();
        let id = id.with_context(|| output.to_string())?.to_owned();
        self.jobs.borrow_mut().push(id.clone());
        Ok(id)
    }

    /// Submits a job that runs `script`, waits for its end, and returns its id.
    pub(crate) fn run(&self, script: &str, options: &[&str]) -> Result<String> {
        let id = self.submit(script, options)?;
        let line = format!("ocluster-client wait ./capnp-secrets/submission.cap {id}");
        // The command ends as the job does.
        self.site.run(&line)?;
        Ok(id)
    }

    /// Returns the answer to a program without a cookie, headers and all.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(WAIT_LIMIT))?;
        let host = format!("{}:{}", self.host, self.address.port());
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        // A server may close the connection before it has read all of a long path.
        drop(stream.write_all(request.as_bytes()));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Returns the peak memory of the scheduler so far, in bytes.
    pub(crate) fn scheduler_memory(&self) -> Result<usize> {
        peak_memory(self.site.cluster.scheduler().context("no scheduler")?)
    }

    /// Stops everything. A worker that runs jobs would wait for them.
    pub(crate) fn finish(self) -> Result<()> {
        drop(self.browser);
        let jobs = self.jobs.borrow().join(" ");
        let cancel = format!("ocluster-client cancel ./capnp-secrets/submission.cap {jobs}");
        // It fails for those that have ended.
        self.site.run(&cancel)?;
        self.site.finish()
    }
}

/// Checks what holds for every page: nothing went wrong that its reader does not see, it asked no other host, and it is
/// as wide as the screen.
#[track_caller]
pub(crate) fn check_page(page: &Page, origin: &str, what: &str) -> Result<()> {
    let record = page.record()?;
    assert_eq!(record.complaints, [""; 0], "{what}");
    assert_eq!(record.foreign_requests(origin), [""; 0], "{what}");
    assert_eq!(page.overhang()?, 0, "{what} is wider than the screen");
    Ok(())
}
