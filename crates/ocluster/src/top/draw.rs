//! Draws a screen.

use cluster_web::log::Style as LogStyle;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};

use super::row::{Row, Tone};
use super::state::Screen;

/// How tones look: with colours, or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    pub(super) has_colours: bool,
}

impl Theme {
    fn style(self, tone: Tone) -> Style {
        let style = Style::default();
        let (modifier, colour) = match tone {
            Tone::Plain => return style,
            Tone::Heading => return style.add_modifier(Modifier::BOLD),
            // In some terminals faint text cannot be read, so that colour is not used.
            Tone::Faint => (Modifier::DIM, None),
            Tone::Good => (Modifier::empty(), Some(Color::Green)),
            Tone::Warning => (Modifier::empty(), Some(Color::Yellow)),
            Tone::Bad => (Modifier::BOLD, Some(Color::Red)),
            Tone::Log(of_log) => return self.of_log(of_log),
        };
        let style = style.add_modifier(modifier);
        match colour.filter(|_| self.has_colours) {
            Some(colour) => style.fg(colour),
            None => style,
        }
    }

    /// Returns how a part of a log looks: without colours, as any text.
    fn of_log(self, style: LogStyle) -> Style {
        let mut shown = Style::default();
        if !self.has_colours {
            return shown;
        }
        if let Some(colour) = style.foreground() {
            shown = shown.fg(Color::Indexed(colour));
        }
        if let Some(colour) = style.background() {
            shown = shown.bg(Color::Indexed(colour));
        }
        let modifiers = [
            (style.is_bold(), Modifier::BOLD),
            (style.is_dim(), Modifier::DIM),
            (style.is_italic(), Modifier::ITALIC),
            (style.is_underlined(), Modifier::UNDERLINED),
            (style.is_inverse(), Modifier::REVERSED),
            (style.is_struck(), Modifier::CROSSED_OUT),
        ];
        let set = modifiers.into_iter().filter(|(is_set, _)| *is_set);
        set.fold(shown, |shown, (_, modifier)| shown.add_modifier(modifier))
    }

    fn line(self, row: &Row, style: Style) -> Line<'static> {
        let spans = row
            .pieces
            .iter()
            .map(|piece| Span::styled(piece.text.clone(), self.style(piece.tone)));
        Line::from(spans.collect::<Vec<_>>()).style(style)
    }
}

/// Draws `screen` on the whole terminal.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, theme: Theme) {
    let rows = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [title, body, footer] = Layout::vertical(rows).areas(frame.area());
    let plain = Style::default();
    let bar = plain.add_modifier(Modifier::REVERSED);
    frame.render_widget(theme.line(&screen.title, bar), title);
    let lines = screen.body.iter().enumerate().map(|(index, row)| {
        let is_marked = screen.selected == Some(index) || screen.matches.contains(&index);
        theme.line(row, if is_marked { bar } else { plain })
    });
    frame.render_widget(Text::from(lines.collect::<Vec<_>>()), body);
    frame.render_widget(theme.line(&screen.footer, plain), footer);
}
