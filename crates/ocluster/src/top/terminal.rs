//! The terminal, while it shows screens instead of lines.

use std::io::{self, Stdout, stdout};

use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;

use super::draw::{Theme, draw};
use super::state::Screen;

/// The terminal. When this is dropped, it shows what it has shown before.
pub(super) struct Terminal {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is none.
    pub(super) fn take(theme: Theme) -> io::Result<Self> {
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout()))?;
        let taken = Self { terminal, theme };
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }

    /// Returns its columns and rows.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Shows a screen.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn show(&mut self, screen: &Screen) -> io::Result<()> {
        let theme = self.theme;
        self.terminal.draw(|frame| draw(frame, screen, theme))?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal is gone if these fail.
        execute!(stdout(), cursor::Show, LeaveAlternateScreen).ok();
        disable_raw_mode().ok();
    }
}
