//! Failures of a command that is about several jobs: each is reported, and the first decides the exit code.

use super::NAME;
use cli::error::{CommandError, Kind};
use cli::failure::Failure;
use cli::output::{Format, print_event};
use cli::print::print_error;

/// The failures of a command so far.
pub(super) struct Failures {
    format: Format,
    /// Each with its place on the command line. The message of one that was printed is empty.
    found: Vec<(usize, CommandError)>,
}

impl Failures {
    pub(super) fn new(format: Format) -> Self {
        let found = Vec::new();
        Self { format, found }
    }

    /// Reports the failure of the job at a place of the command line. The error is that of the whole command.
    pub(super) fn report(
        &mut self,
        place: usize,
        failed: CommandError,
    ) -> Result<(), CommandError> {
        match (failed.kind, self.format) {
            // It is the same for all jobs.
            (Kind::Unreachable | Kind::WrongCap | Kind::OutputClosed, _) => return Err(failed),
            (_, Format::Text) => {
                print_error(&failed.render(NAME));
                self.add(place, &failed);
            }
            // The last line of a command that failed is its failure.
            (_, Format::Json) => self.found.push((place, failed)),
        }
        Ok(())
    }

    /// Adds a failure that was printed.
    pub(super) fn add(&mut self, place: usize, failed: &CommandError) {
        self.found.push((place, CommandError::new(failed.kind, "")));
    }

    /// Returns the result of the command.
    pub(super) fn result(mut self) -> Result<(), CommandError> {
        self.found.sort_by_key(|(place, _)| *place);
        let mut found = self.found.into_iter().map(|(_, failed)| failed);
        let Some(first) = found.next() else {
            return Ok(());
        };
        for failure in found.filter_map(|failed| Failure::of(&failed)) {
            print_event(&failure)?;
        }
        Err(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_on_the_command_line_decides() {
        let mut failures = Failures::new(Format::Text);
        assert_eq!(Failures::new(Format::Text).result(), Ok(()));
        failures.add(2, &CommandError::new(Kind::TimedOut, "it timed out"));
        failures.add(1, &CommandError::new(Kind::Cancelled, "it was cancelled"));
        failures.add(3, &CommandError::new(Kind::JobLost, "it was lost"));
        let decided = failures.result().unwrap_err();
        assert_eq!(
            (decided.kind, decided.message.as_str()),
            (Kind::Cancelled, "")
        );
    }

    #[test]
    fn a_lost_connection_ends_the_command() {
        let mut failures = Failures::new(Format::Text);
        let lost = CommandError::new(Kind::Unreachable, "no connection");
        assert_eq!(failures.report(0, lost.clone()), Err(lost));
    }
}
