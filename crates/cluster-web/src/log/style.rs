//! How a text looks: what SGR sequences set.

use super::colour::{is_light, nearest};

/// The attributes that are shown. Hidden and blinking texts are shown as any other.
const ATTRIBUTES: [(u16, u8, &str); 6] = [
    (1, Style::BOLD, "b"),
    (2, Style::DIM, "d"),
    (3, Style::ITALIC, "i"),
    (4, Style::UNDERLINED, "u"),
    (7, Style::INVERSE, "v"),
    (9, Style::STRUCK, "s"),
];

/// How a text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    foreground: Option<u8>,
    background: Option<u8>,
    attributes: u8,
}

impl Style {
    /// The usual style.
    pub(super) const PLAIN: Self = Self {
        foreground: None,
        background: None,
        attributes: 0,
    };

    const BOLD: u8 = 1;
    const DIM: u8 = 2;
    const ITALIC: u8 = 4;
    const UNDERLINED: u8 = 8;
    const INVERSE: u8 = 16;
    const STRUCK: u8 = 32;
    /// The text stands for a character that cannot be seen.
    const ESCAPED: u8 = 64;

    /// Returns the style of a text that stands for a character that cannot be seen.
    pub(super) fn escaped(mut self) -> Self {
        self.attributes |= Self::ESCAPED;
        self
    }

    /// Returns the colour of the text, of the 256 of terminals; `None` for the usual one.
    pub fn foreground(self) -> Option<u8> {
        self.foreground
    }

    /// Returns the colour behind the text; `None` for the usual one.
    pub fn background(self) -> Option<u8> {
        self.background
    }

    /// Returns whether the text is bold.
    pub fn is_bold(self) -> bool {
        self.attributes & Self::BOLD != 0
    }

    /// Returns whether the text is faint.
    pub fn is_dim(self) -> bool {
        self.attributes & Self::DIM != 0
    }

    /// Returns whether the text is in italics.
    pub fn is_italic(self) -> bool {
        self.attributes & Self::ITALIC != 0
    }

    /// Returns whether the text is underlined.
    pub fn is_underlined(self) -> bool {
        self.attributes & Self::UNDERLINED != 0
    }

    /// Returns whether text and background have changed places.
    pub fn is_inverse(self) -> bool {
        self.attributes & Self::INVERSE != 0
    }

    /// Returns whether the text is struck out.
    pub fn is_struck(self) -> bool {
        self.attributes & Self::STRUCK != 0
    }

    /// Applies the parameters of an SGR sequence (`CSI … m`). What is unknown is skipped.
    pub(super) fn apply(&mut self, parameters: &str) {
        let mut parts = parameters.split(';');
        while let Some(part) = parts.next() {
            let mut subparts = part.split(':');
            let code = number(subparts.next());
            match code {
                38 | 48 => {
                    let colour = match part.contains(':') {
                        true => colour_of_subparts(subparts),
                        false => colour_of_parts(&mut parts),
                    };
                    match code {
                        _ if colour.is_none() => {}
                        38 => self.foreground = colour,
                        _ => self.background = colour,
                    }
                }
                4 if subparts.next() == Some("0") => self.attributes &= !Self::UNDERLINED,
                _ => self.apply_code(code),
            }
        }
    }

    fn apply_code(&mut self, code: u16) {
        match code {
            0 => *self = Self::default(),
            21 => self.attributes |= Self::UNDERLINED,
            22 => self.attributes &= !(Self::BOLD | Self::DIM),
            23 => self.attributes &= !Self::ITALIC,
            24 => self.attributes &= !Self::UNDERLINED,
            27 => self.attributes &= !Self::INVERSE,
            29 => self.attributes &= !Self::STRUCK,
            30..=37 => self.foreground = index(code - 30),
            39 => self.foreground = None,
            40..=47 => self.background = index(code - 40),
            49 => self.background = None,
            90..=97 => self.foreground = index(code - 90 + 8),
            100..=107 => self.background = index(code - 100 + 8),
            code => {
                let known = ATTRIBUTES.iter().find(|(known, ..)| *known == code);
                self.attributes |= known.map_or(0, |(_, bit, _)| *bit);
            }
        }
    }

    /// Writes the classes of this style; nothing for the usual one.
    ///
    /// On a coloured background a text is black or white, whichever is more readable.
    pub(super) fn write_classes(self, html: &mut String) {
        let mut is_first = true;
        let mut add = |prefix: &str, number: Option<u8>| {
            if !std::mem::take(&mut is_first) {
                html.push(' ');
            }
            html.push_str(prefix);
            if let Some(number) = number {
                html.push_str(itoa::Buffer::new().format(number));
            }
        };
        let inverse = self.attributes & Self::INVERSE != 0;
        let (text, paper) = match inverse {
            true => (self.background, self.foreground),
            false => (self.foreground, self.background),
        };
        if let Some(paper) = paper {
            add("g", Some(paper));
            add(if is_light(paper) { "k" } else { "w" }, None);
        } else if let Some(text) = text.filter(|_| !inverse) {
            add("f", Some(text));
        }
        for (_, bit, class) in ATTRIBUTES {
            let is_shown = match bit {
                Self::INVERSE => paper.is_none(),
                Self::DIM => paper.is_none() && text.is_none(),
                _ => true,
            };
            if self.attributes & bit != 0 && is_shown {
                add(class, None);
            }
        }
        if self.attributes & Self::ESCAPED != 0 {
            add("x", None);
        }
    }
}

/// Reads `5;INDEX` or `2;RED;GREEN;BLUE`.
fn colour_of_parts<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<u8> {
    match number(parts.next()) {
        5 => byte(parts.next()),
        2 => {
            let (red, green, blue) = (parts.next(), parts.next(), parts.next());
            Some(nearest(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}

/// Reads `5:INDEX`, `2:RED:GREEN:BLUE` or `2:SPACE:RED:GREEN:BLUE`.
fn colour_of_subparts<'a>(subparts: impl Iterator<Item = &'a str>) -> Option<u8> {
    let subparts: Vec<&str> = subparts.take(8).collect();
    match subparts.as_slice() {
        ["5", index, ..] => byte(Some(index)),
        ["2", red, green, blue] | ["2", _, red, green, blue, ..] => Some(nearest(
            byte(Some(red))?,
            byte(Some(green))?,
            byte(Some(blue))?,
        )),
        _ => None,
    }
}

fn index(code: u16) -> Option<u8> {
    u8::try_from(code).ok()
}

/// Reads a parameter. An empty one is 0, and what is no number is one that has no meaning.
fn number(part: Option<&str>) -> u16 {
    match part.unwrap_or_default() {
        "" => 0,
        digits => digits.parse().unwrap_or(u16::MAX),
    }
}

fn byte(part: Option<&str>) -> Option<u8> {
    u8::try_from(number(Some(part?))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(sequences: &[&str]) -> String {
        let mut style = Style::default();
        sequences.iter().for_each(|sequence| style.apply(sequence));
        let mut classes = String::new();
        style.write_classes(&mut classes);
        classes
    }

    #[test]
    fn sequences_become_classes() {
        for (sequences, expected) in [
            (&["1;31"][..], "f1 b"),
            (&["31", ""], ""),
            (&["91", "0"], ""),
            (&["38;5;208", "3;4;9"], "f208 i u s"),
            (&["38;2;250;5;0"], "f196"),
            (&["38:2::250:5:0"], "f196"),
            (&["38:2:250:5:0"], "f196"),
            (&["48:5:3"], "g3 k"),
            (&["97;41"], "g1 w"),
            (&["41", "49"], ""),
            (&["7"], "v"),
            (&["7;32"], "g2 w"),
            (&["2"], "d"),
            (&["2;32"], "f2"),
            (&["4:3"], "u"),
            (&["4", "4:0"], ""),
            (&["1;2", "22"], ""),
            (&["38;5"], ""),
            (&["38;5;256"], ""),
            (&["8", "5", "999;99999", "38;7"], ""),
        ] {
            assert_eq!(classes(sequences), expected, "{sequences:?}");
        }
    }
}
