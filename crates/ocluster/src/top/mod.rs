//! `ocluster top`: the pools of a scheduler, their queues and workers, and the logs of jobs, on a terminal.
//!
//! [`state::Top`] decides: it takes keys and the scheduler's reports, and returns screens. [`source`] asks the
//! scheduler for what the screen wants, and [`terminal`] shows it.

mod draw;
mod facts;
mod job;
mod key;
mod log;
mod place;
mod report;
mod row;
mod source;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use crossterm::event::{Event, EventStream};
use futures::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use self::draw::Theme;
use self::key::Key;
use self::report::Wanted;
use self::source::Source;
use self::state::Top;
use self::terminal::Terminal;
use cli::appearance;
use cli::capability_args::ConnectArgs;
use cli::connect::connect;
use cli::error::CommandError;
use cli::signals::Interrupts;

/// How many reports may wait to be shown.
const REPORTS: usize = 16;

/// Watch pools, queues, workers and logs on a terminal
///
/// Shows the state of a cluster, and keeps it up to date, also when the scheduler restarts. Move with the arrow keys or
/// j and k, open a pool, a worker or a job with enter, go back with esc, and quit with q; ? lists all keys. Nothing is
/// changed.
#[derive(clap::Args, Debug)]
#[command(override_usage = "ocluster top [OPTIONS] [CAP]")]
pub(crate) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = args.connect.split(args.positionals)?;
    positionals.finish()?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() || appearance::is_dumb() {
        let error = "cannot show screens: this is not a terminal that can be redrawn";
        return Err(CommandError::failed(error)
            .hint("ocluster-admin show and ocluster-admin jobs print the same in lines"));
    }
    let target = cap.load()?;
    let top = Top::new(&target.address.to_string());
    // The first attempt to connect reports as all programs do.
    let session = connect(&cap).await?;
    let (want, wanted) = watch::channel(Wanted::default());
    let (reports, reported) = mpsc::channel(REPORTS);
    let source = Source {
        target,
        dialer: source::dialer(cap.dial_options()),
        wanted,
        reports,
    };
    let source = spawn_local(source.run(session));
    let shown = show(top, &want, reported).await;
    source.abort();
    shown
}

/// Shows the screens until the user ends it.
async fn show(
    mut top: Top,
    want: &watch::Sender<Wanted>,
    mut reported: mpsc::Receiver<self::report::Report>,
) -> Result<(), CommandError> {
    let theme = Theme {
        has_colours: appearance::has_colour(&io::stdout()),
    };
    let mut interrupts = Interrupts::listen()?;
    let gone = |error: io::Error| CommandError::from_output(&error);
    let mut terminal = Terminal::take(theme).map_err(gone)?;
    let (columns, rows) = terminal.size().map_err(gone)?;
    top.resize(columns, rows);
    let mut events = EventStream::new();
    while !top.is_over() {
        terminal.show(&top.screen()).map_err(gone)?;
        want.send_if_modified(|wanted| {
            let now = top.wanted();
            let is_other = *wanted != now;
            *wanted = now;
            is_other
        });
        tokio::select! {
            report = reported.recv() => match report {
                Some(report) => top.take(report),
                None => return Err(CommandError::internal("the connection's task has ended")),
            },
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) => if let Some(key) = Key::of(key) {
                    top.press(key);
                },
                Some(Ok(Event::Resize(columns, rows))) => top.resize(columns, rows),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(CommandError::failed(format_args!("cannot read the keyboard: {error}")));
                }
                None => return Ok(()),
            },
            interrupt = interrupts.next() => return Err(CommandError::interrupted(interrupt, "")),
        }
    }
    Ok(())
}
