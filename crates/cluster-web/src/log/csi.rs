//! What a control sequence does to a line or to the place in it.

/// What a control sequence does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Changes how the following text looks.
    Style,
    /// Goes up that many lines; `true` also goes to the beginning of the line.
    Up(usize, bool),
    /// Goes down that many lines; `true` also goes to the beginning of the line.
    Down(usize, bool),
    /// Goes right that many characters.
    Right(usize),
    /// Goes left that many characters.
    Left(usize),
    /// Goes to that character of the line, from 0.
    Column(usize),
    /// Erases the line from here.
    EraseRight,
    /// Erases the line up to here.
    EraseLeft,
    /// Erases the line.
    EraseLine,
    /// Erases the line from here, and all lines below.
    EraseBelow,
    /// Nothing: a log may not do it.
    Nothing,
}

impl Control {
    /// Returns what `CSI PARAMETERS FINAL` does.
    pub(super) fn of(parameters: &str, last: char) -> Self {
        let count = || match parameters {
            "" | "0" => 1,
            digits => digits.parse::<usize>().unwrap_or(0),
        };
        match (last, parameters) {
            ('m', parameters) if !parameters.starts_with(['?', '>', '<', '=']) => Self::Style,
            ('A', _) => Self::Up(count(), false),
            ('F', _) => Self::Up(count(), true),
            ('B', _) => Self::Down(count(), false),
            ('E', _) => Self::Down(count(), true),
            ('C', _) => Self::Right(count()),
            ('D', _) => Self::Left(count()),
            ('G', _) => Self::Column(count().saturating_sub(1)),
            ('K', "" | "0") => Self::EraseRight,
            ('K', "1") => Self::EraseLeft,
            ('K', "2") => Self::EraseLine,
            ('J', "" | "0") => Self::EraseBelow,
            _ => Self::Nothing,
        }
    }
}
