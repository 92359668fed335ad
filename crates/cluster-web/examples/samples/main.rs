//! Writes every page with made-up data into a directory, to look at them without a cluster.
//!
//! `cargo run -p cluster-web --example samples -- DIR`, then `python3 -m http.server --directory DIR`.

mod hostile;
mod job;
mod lists;
mod logs;
mod pools;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use askama::Template as _;
use cluster_web::ASSETS;
use cluster_web::pages::{self, Enter, Frame, ICON, Notice, SCRIPT, STYLE, Section};

#[expect(clippy::disallowed_methods, reason = "a program reads its arguments")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args().nth(1).ok_or("name the directory to write to")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory.join("assets"))?;
    for (asset, text) in [
        (&ASSETS.style.path, STYLE),
        (&ASSETS.script.path, SCRIPT),
        (&ASSETS.icon.path, ICON),
    ] {
        fs::write(directory.join(asset.trim_start_matches('/')), text)?;
    }
    for (name, html) in all()? {
        fs::write(directory.join(format!("{name}.html")), html)?;
    }
    fs::write(
        directory.join("badge.svg"),
        pages::badge("main", "succeeded")?,
    )?;
    Ok(())
}

/// Returns the HTML of all pages, by name.
pub(crate) fn all() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("pools", pools::pools().render()?),
        ("pool", pools::pool().render()?),
        ("workers", pools::workers(12).render()?),
        ("workers-500", pools::workers(500).render()?),
        ("worker", pools::worker().render()?),
        ("job-running", job::running().render()?),
        ("job-failed", job::failed().render()?),
        ("job-queued", job::queued().render()?),
        ("job-found", job::found().render()?),
        ("jobs", lists::jobs().render()?),
        ("hint", lists::hint().render()?),
        ("audit", lists::audit().render()?),
        ("enter", Enter { frame: stranger() }.render()?),
        ("forbidden", forbidden().render()?),
        ("hostile-job", hostile::job().render()?),
        ("hostile-pool", hostile::pool().render()?),
    ])
}

/// Returns the frame that an operator sees.
fn operator(section: Section) -> Frame {
    Frame {
        now: "2026-11-29T03:12:45Z".parse().unwrap_or_default(),
        section,
        visitor: "operator anna@desk".to_owned(),
        may_see_pools: true,
        may_list_jobs: true,
        may_operate: true,
        token: Some("t0ken".to_owned()),
        json: Some("#json".to_owned()),
        version: "0.1.0".to_owned(),
        ..Frame::default()
    }
}

fn stranger() -> Frame {
    Frame {
        now: "2026-11-29T03:12:45Z".parse().unwrap_or_default(),
        version: "0.1.0".to_owned(),
        ..Frame::default()
    }
}

fn forbidden() -> Notice {
    Notice {
        frame: stranger(),
        title: "Forbidden".to_owned(),
        message: "You need a link to see this page, or one that shows more.".to_owned(),
        advice: "Operators get one with \"ocluster-admin web\", and clients with \"ocluster-client web\".".to_owned(),
    }
}
