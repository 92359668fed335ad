//! Finds the control sequences in a log, and forgets those that a log may not use.

use super::position::position;

/// How long the parameters of a sequence may be; a longer sequence is dropped.
const MAX_PARAMETERS: usize = 64;
/// How long a sequence with a text may be; the rest of a longer one is dropped up to the end of its line.
const MAX_TEXT: usize = 2048;

/// What a character of a log does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, or nothing yet.
    Nothing,
    /// It is shown.
    Print(char),
    /// It ends the line.
    NewLine,
    /// It goes to the beginning of the line.
    Return,
    /// It goes one character back.
    Back,
    /// It goes one line up.
    Up,
    /// A control sequence: its parameters, and the character that says what it does.
    Control(String, char),
    /// The following text is a link; empty ends it.
    Link(String),
}

/// Where in a sequence the last character was.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Text,
    Escape,
    /// After `ESC (` and the like: one more character belongs to it.
    Intermediate,
    Parameters(String),
    /// In the text of an operating system command (OSC), and whether the last character was an ESC.
    Command(String, bool),
    /// In a sequence with a text that is dropped, and whether the last character was an ESC.
    Dropped(bool),
}

/// Reads a log character by character.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    place: Place,
}

/// Splits a text before its first character that does anything but to be shown.
pub(super) fn split_text(text: &str) -> (&str, &str) {
    // The first byte of U+0080 to U+009F, among others.
    let may_act = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f || byte == 0xc2;
    text.split_at(position(text, may_act).unwrap_or(text.len()))
}

/// Splits a control sequence off a text that begins with it: its parameters, the character that says what it does, and
/// the rest. `None` if there is none that is whole, or only one that does nothing.
pub(super) fn split_control(text: &str) -> Option<(&str, char, &str)> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let is_parameter = |byte: u8| (b' '..=b'?').contains(&byte);
    let length = rest.bytes().position(|byte| !is_parameter(byte))?;
    let (parameters, rest) = rest.split_at_checked(length)?;
    let mut rest = rest.chars();
    let last = rest.next().filter(|last| ('@'..='~').contains(last))?;
    (length <= MAX_PARAMETERS).then_some((parameters, last, rest.as_str()))
}

impl Escapes {
    /// Returns whether the next character is not part of a sequence.
    pub(super) fn is_in_text(&self) -> bool {
        matches!(self.place, Place::Text)
    }

    /// Reads a character. Each sequence ends with its line, so that none can hide the rest of a log.
    pub(super) fn read(&mut self, c: char) -> Action {
        if c == '\n' {
            self.place = Place::Text;
            return Action::NewLine;
        }
        match std::mem::take(&mut self.place) {
            Place::Text => self.text(c),
            Place::Escape => self.escape(c),
            Place::Intermediate => Action::Nothing,
            Place::Parameters(parameters) => self.parameters(parameters, c),
            Place::Command(text, escaped) => self.command(text, escaped, c),
            Place::Dropped(escaped) => {
                if c != '\u{7}' && c != '\u{9c}' && !(escaped && c == '\\') {
                    self.place = Place::Dropped(c == '\u{1b}');
                }
                Action::Nothing
            }
        }
    }

    fn text(&mut self, c: char) -> Action {
        match c {
            '\u{1b}' => self.go_to(Place::Escape),
            '\u{9b}' => self.go_to(Place::Parameters(String::new())),
            '\u{9d}' => self.go_to(Place::Command(String::new(), false)),
            '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => self.go_to(Place::Dropped(false)),
            '\r' => Action::Return,
            '\u{8}' => Action::Back,
            '\t' => Action::Print(c),
            c if c.is_control() => Action::Nothing,
            c => Action::Print(c),
        }
    }

    fn escape(&mut self, c: char) -> Action {
        match c {
            '[' => self.go_to(Place::Parameters(String::new())),
            ']' => self.go_to(Place::Command(String::new(), false)),
            'P' | 'X' | '^' | '_' => self.go_to(Place::Dropped(false)),
            '\u{1b}' => self.go_to(Place::Escape),
            ' '..='/' => self.go_to(Place::Intermediate),
            'M' => Action::Up,
            '0'..='~' => Action::Nothing,
            // Not a sequence: the character is what it is alone.
            c => self.text(c),
        }
    }

    fn parameters(&mut self, mut parameters: String, c: char) -> Action {
        match c {
            '@'..='~' if parameters.len() > MAX_PARAMETERS => Action::Nothing,
            '@'..='~' => Action::Control(parameters, c),
            ' '..='?' => {
                if parameters.len() <= MAX_PARAMETERS {
                    parameters.push(c);
                }
                self.go_to(Place::Parameters(parameters))
            }
            // A sequence that is broken off.
            c => self.text(c),
        }
    }

    fn command(&mut self, mut text: String, escaped: bool, c: char) -> Action {
        if c == '\u{7}' || c == '\u{9c}' || escaped && c == '\\' {
            return link(&text);
        }
        if escaped {
            // Another sequence begins: this one is broken off.
            return self.escape(c);
        }
        if text.len() > MAX_TEXT {
            return self.go_to(Place::Dropped(c == '\u{1b}'));
        }
        if c != '\u{1b}' {
            text.push(c);
        }
        self.go_to(Place::Command(text, c == '\u{1b}'))
    }

    fn go_to(&mut self, place: Place) -> Action {
        self.place = place;
        Action::Nothing
    }
}

/// Returns what an operating system command does. Only links (`8;PARAMETERS;URL`) do anything.
fn link(text: &str) -> Action {
    let parts = text
        .strip_prefix("8;")
        .and_then(|rest| rest.split_once(';'));
    match parts {
        Some((_, url)) => Action::Link(url.to_owned()),
        None => Action::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(text: &str) -> Vec<Action> {
        let mut escapes = Escapes::default();
        let actions = text.chars().map(|c| escapes.read(c));
        actions
            .filter(|action| *action != Action::Nothing)
            .collect()
    }

    fn shown(text: &str) -> String {
        let print = |action| match action {
            Action::Print(c) => c,
            Action::NewLine => '\n',
            _ => '?',
        };
        actions(text).into_iter().map(print).collect()
    }

    #[test]
    fn sequences_are_found() {
        let control = |parameters: &str, c| Action::Control(parameters.to_owned(), c);
        assert_eq!(actions("\u{1b}[1;31m"), [control("1;31", 'm')]);
        assert_eq!(actions("\u{9b}2K"), [control("2", 'K')]);
        assert_eq!(
            actions("\u{1b}M\u{8}\r"),
            [Action::Up, Action::Back, Action::Return]
        );
        let link = Action::Link("https://a.example/".to_owned());
        assert_eq!(actions("\u{1b}]8;;https://a.example/\u{7}"), [link]);
        let link = Action::Link(String::new());
        assert_eq!(actions("\u{1b}]8;;\u{1b}\\"), [link]);
    }

    #[test]
    fn other_sequences_are_dropped() {
        for text in [
            "a\u{1b}]0;title\u{7}b",
            "a\u{1b}]52;c;c2VjcmV0\u{1b}\\b",
            "a\u{1b}P1$r0m\u{1b}\\b",
            "a\u{1b}_x\u{9c}b",
            "a\u{1b}(0b",
            "a\u{1b}=b",
            "a\u{0}\u{7}\u{c}\u{85}\u{7f}b",
        ] {
            assert_eq!(shown(text), "ab", "{text:?}");
        }
        let long = format!("a\u{1b}[{}mb", "1".repeat(1000));
        assert_eq!(shown(&long), "ab");
    }

    #[test]
    fn no_sequence_hides_the_next_line() {
        for text in [
            "\u{1b}]8;;x\nb",
            "\u{1b}Pq\nb",
            "\u{1b}[1\nb",
            "\u{1b}\nb",
            "\u{1b}(\nb",
        ] {
            assert_eq!(shown(text), "\nb", "{text:?}");
        }
        let long = format!("\u{1b}]8;;{}\nb", "x".repeat(10_000));
        assert_eq!(shown(&long), "\nb");
    }
}
