//! The 256 colours of a terminal, and the classes that show them.

use std::fmt::Write as _;

/// The red, green and blue parts of a colour.
type Rgb = [u8; 3];

/// The first 16 colours, as the pages' dark theme shows them.
const DARK: [Rgb; 16] = [
    [0x8b, 0x94, 0x9e],
    [0xff, 0x7b, 0x72],
    [0x56, 0xd3, 0x64],
    [0xe3, 0xb3, 0x41],
    [0x79, 0xc0, 0xff],
    [0xd2, 0xa8, 0xff],
    [0x56, 0xd4, 0xdd],
    [0xc9, 0xd1, 0xd9],
    [0x9d, 0xa5, 0xae],
    [0xff, 0xa1, 0x98],
    [0x7e, 0xe7, 0x87],
    [0xf2, 0xcc, 0x60],
    [0xa5, 0xd6, 0xff],
    [0xe2, 0xc5, 0xff],
    [0xa5, 0xe9, 0xef],
    [0xff, 0xff, 0xff],
];

/// The first 16 colours, as xterm has them: behind a text, and to compare others with.
const PLAIN: [Rgb; 16] = [
    [0x00, 0x00, 0x00],
    [0xcd, 0x31, 0x31],
    [0x0d, 0x86, 0x40],
    [0xc1, 0x9c, 0x00],
    [0x24, 0x72, 0xc8],
    [0xa0, 0x35, 0xa0],
    [0x11, 0x8c, 0xa5],
    [0xd0, 0xd0, 0xd0],
    [0x66, 0x66, 0x66],
    [0xf1, 0x4c, 0x4c],
    [0x23, 0xd1, 0x8b],
    [0xf5, 0xf5, 0x43],
    [0x3b, 0x8e, 0xea],
    [0xd6, 0x70, 0xd6],
    [0x29, 0xb8, 0xdb],
    [0xff, 0xff, 0xff],
];

/// The backgrounds of logs in the light and the dark theme, as `style.css` has them.
const PAPER: [Rgb; 2] = [[0xf6, 0xf8, 0xfa], [0x0b, 0x0f, 0x14]];

/// The contrast that WCAG's level AA asks for in a text.
const ENOUGH: f64 = 4.6;

/// Returns the colour of the palette that is nearest to a true colour.
pub(super) fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let wanted = [red, green, blue];
    let distance = |index: &u8| {
        let parts = rgb(*index).into_iter().zip(wanted);
        parts
            .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
            .sum::<u32>()
    };
    // The first 16 are the theme's: a program that asks for a true colour does not mean these.
    (16..=255).min_by_key(distance).unwrap_or(16)
}

/// Returns whether a text on this background is more readable in black than in white.
pub(super) fn is_light(background: u8) -> bool {
    let colour = rgb(background);
    contrast(colour, [0; 3]) >= contrast(colour, [0xff; 3])
}

/// Returns the style sheet of the classes `f0` to `f255` (a text's colour) and `g0` to `g255` (its background).
///
/// A colour is made darker on light paper, and lighter on dark paper, until it is readable.
pub fn stylesheet() -> String {
    let mut css = String::from("/* The colours of logs, as log/colour.rs computes them. */\n");
    for index in 0..=255u8 {
        let [light, dark] = PAPER;
        let shown = match DARK.get(usize::from(index)) {
            Some(theme) => *theme,
            None => rgb(index),
        };
        let (on_light, on_dark) = (readable(rgb(index), light), readable(shown, dark));
        let background = hex(rgb(index));
        let (on_light, on_dark) = (hex(on_light), hex(on_dark));
        writeln!(
            css,
            ".f{index}{{color:light-dark({on_light},{on_dark})}}.g{index}{{background:{background}}}"
        )
        .unwrap_or_default();
    }
    css
}

fn rgb(index: u8) -> Rgb {
    if let Some(colour) = PLAIN.get(usize::from(index)) {
        return *colour;
    }
    if index >= 232 {
        return [8 + 10 * (index - 232); 3];
    }
    let cube = index - 16;
    [cube / 36, cube / 6 % 6, cube % 6].map(|level| match level {
        0 => 0,
        level => 55 + 40 * level,
    })
}

/// Returns `colour`, mixed with black or white until it can be read on `paper`.
fn readable(colour: Rgb, paper: Rgb) -> Rgb {
    let towards = if luminance(paper) > 0.5 { 0.0 } else { 255.0 };
    let mixed = |step: u8| {
        let share = f64::from(step) / 20.0;
        colour.map(|part| (f64::from(part) * (1.0 - share) + towards * share).round() as u8)
    };
    let mut steps = (0..=20).map(mixed);
    let found = steps.find(|mixed| contrast(*mixed, paper) >= ENOUGH);
    found.unwrap_or(mixed(20))
}

/// Returns the contrast of two colours, 1 to 21, as WCAG defines it.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        match part <= 0.04045 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_can_be_read_on_both_papers() {
        for index in 0..=255 {
            for paper in PAPER {
                assert!(
                    contrast(readable(rgb(index), paper), paper) >= 4.5,
                    "{index}"
                );
            }
            let text = if is_light(index) { [0; 3] } else { [0xff; 3] };
            assert!(contrast(rgb(index), text) >= 4.5, "{index}");
        }
    }

    #[test]
    fn a_true_colour_becomes_the_nearest_one() {
        assert_eq!(nearest(0, 0, 0), 16);
        assert_eq!(nearest(255, 255, 255), 231);
        assert_eq!(nearest(250, 5, 0), 196);
        assert_eq!(nearest(130, 130, 128), 244);
    }

    #[test]
    fn the_style_sheet_is_up_to_date() {
        expect_test::expect_file!["../../assets/colours.css"].assert_eq(&stylesheet());
    }
}
