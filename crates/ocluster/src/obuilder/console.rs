//! The output of a build, on a terminal or elsewhere.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::io::{self, Write as _};
use std::time::Duration;

use bstr::{BStr, ByteSlice as _};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use obuilder::builder::BuildLog;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use visible::{CompactElapsed, Elapsed};

use cli::appearance;
use cli::error::CommandError;
use cli::interrupt::Interrupt;
use cli::print::print_bytes;
use cli::signals::Interrupts;
use cli::status_line::StatusLine;
use cli::terminal::{self, LogOutput};

const BRIGHT_BLUE: &str = "94";
const YELLOW: &str = "33";

/// How long a step runs before its time is shown.
const TIME_DELAY: Duration = Duration::from_secs(1);

/// How often the time is updated.
const TICK: Duration = Duration::from_secs(1);

/// Writes headings, notes and the output of steps to standard output, and below them, on a terminal, the time of the
/// current step.
pub(super) struct Console {
    colour: bool,
    /// Filters the output of steps for its destination.
    output: RefCell<LogOutput>,
    status: StatusLine,
    /// The current step, and when it began.
    step: RefCell<Option<(String, Instant)>>,
    /// Whether the last output of a step ended with a newline. Otherwise the status would overwrite it.
    at_line_start: Cell<bool>,
}

impl Console {
    pub(super) fn new() -> Self {
        Self {
            colour: appearance::has_colour(&io::stdout()),
            output: RefCell::new(LogOutput::to_stdout()),
            status: StatusLine::on_terminal(),
            step: RefCell::default(),
            at_line_start: Cell::new(true),
        }
    }

    fn line(&self, colour: &str, text: &[u8]) -> io::Result<()> {
        self.status.clear();
        self.at_line_start.set(true);
        let mut out = io::stdout().lock();
        let colour = self.colour.then_some(colour);
        let mut output = self.output.borrow_mut();
        if output.is_terminal() {
            out.write_all(output.finish().as_bytes())?;
            let text = text.to_str_lossy();
            out.write_all(&rendered(colour, terminal::plain(&text).as_bytes()))?;
        } else {
            out.write_all(&rendered(colour, text))?;
        }
        out.flush()
    }

    /// Resets the terminal after the output of a step, so that what follows is in the usual colour and on a line of its
    /// own.
    fn end(&self) {
        self.status.disable();
        // An error means that there is no terminal any more.
        drop(print_bytes(self.output.borrow_mut().finish().as_bytes()));
    }

    /// Shows how long the step has taken, if that is long.
    fn tick(&self) {
        let step = self.step.borrow();
        if let Some((what, since)) = step.as_ref()
            && self.at_line_start.get()
            && since.elapsed() >= TIME_DELAY
        {
            self.status
                .show(&format!("[{}] {what}", CompactElapsed(since.elapsed())));
        }
    }
}

impl BuildLog for Console {
    fn heading(&self, text: &BStr) -> io::Result<()> {
        let first = text.lines().next().unwrap_or_default();
        *self.step.borrow_mut() = Some((first.to_str_lossy().into_owned(), Instant::now()));
        self.line(BRIGHT_BLUE, text)
    }

    fn note(&self, text: &str) -> io::Result<()> {
        self.line(YELLOW, text.as_bytes())
    }

    fn took(&self, time: Duration) -> io::Result<()> {
        self.note(&format!("The step took {}", Elapsed(time)))
    }

    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        async move {
            self.status.clear();
            self.at_line_start.set(false);
            // The reader may be slow, and Ctrl-C must work meanwhile.
            let shown = self.output.borrow_mut().push(bytes);
            let mut out = tokio::io::stdout();
            out.write_all(&shown).await?;
            out.flush().await?;
            self.at_line_start.set(bytes.ends_with(b"\n"));
            Ok(())
        }
        .boxed_local()
    }
}

/// Returns a line, in a colour if there is one.
fn rendered(colour: Option<&str>, text: &[u8]) -> Vec<u8> {
    match colour {
        Some(code) => [b"\x1b[", code.as_bytes(), b"m", text, b"\x1b[0m\n"].concat(),
        None => [text, b"\n"].concat(),
    }
}

/// Waits for `work` to end, showing how long it takes. The first interrupt cancels it and waits for it to clean up;
/// the second does not wait.
pub(super) async fn watch<T>(
    work: impl Future<Output = T>,
    cancel: &CancellationToken,
    console: &Console,
    interrupts: &mut Interrupts,
) -> Result<T, CommandError> {
    let mut work = std::pin::pin!(work);
    let mut interrupted: Option<Interrupt> = None;
    loop {
        tokio::select! {
            ended = &mut work => {
                console.end();
                return match interrupted {
                    Some(interrupt) => Err(cancelled(interrupt)),
                    None => Ok(ended),
                };
            }
            interrupt = interrupts.next() => {
                if interrupted.is_some() {
                    console.end();
                    return Err(cancelled(interrupt));
                }
                interrupted = Some(interrupt);
                cancel.cancel();
            }
            () = ticks(console) => {}
        }
    }
}

/// Updates the status. Never ends.
async fn ticks(console: &Console) {
    if !console.status.is_enabled() {
        pending::<()>().await;
    }
    loop {
        tokio::time::sleep(TICK).await;
        console.tick();
    }
}

fn cancelled(interrupt: Interrupt) -> CommandError {
    CommandError::interrupted(interrupt, "Cancelled at user's request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colour_is_added_to_a_line() {
        assert_eq!(rendered(None, b"(from busybox)"), b"(from busybox)\n");
        assert_eq!(
            rendered(Some(BRIGHT_BLUE), b"a\nb").as_bstr(),
            "\x1b[94ma\nb\x1b[0m\n"
        );
    }
}
