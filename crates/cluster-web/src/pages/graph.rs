//! Graphs, as SVG.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::frame::{percent, time};
use crate::log::escaped;

/// How wide and high a graph is, in its own units.
const SIZE: (f64, f64) = (720.0, 180.0);
/// How much room there is around it: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (52.0, 8.0, 10.0, 22.0);
/// How many points a graph shows.
const MAX_POINTS: usize = 2_000;
/// The shortest time that lines are shown for, in seconds.
const SHORTEST: f64 = 60.0 * 60.0;
/// How many lines a graph has.
const MAX_LINES: usize = 6;
/// Values that are further apart are not joined, in seconds: nothing is known of the time between.
const MAX_GAP: f64 = 15.0 * 60.0;

/// Values over time.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Graph {
    /// What the values are, for people.
    pub title: String,
    /// Whether the values are seconds. Otherwise they are parts, from 0 to 1.
    pub is_time: bool,
    /// Whether the values of each kind are joined by a line. Otherwise each is a dot.
    pub is_line: bool,
    /// The values, in the order of their times.
    pub points: Vec<Point>,
}

/// A value at a time.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Point {
    /// How long ago.
    pub ago_seconds: f64,
    /// The value.
    pub value: f64,
    /// What kind of value it is: of a line, what the line is about, such as `docker`; of a dot, `warm`, `cold`,
    /// `failed`, or empty if that is not known.
    pub kind: String,
    /// The job that it is about; null for none.
    pub job: Option<String>,
}

impl Graph {
    /// Returns a graph of parts, with a line for each kind of points.
    pub fn of_parts(title: &str, points: Vec<Point>) -> Self {
        Self {
            title: title.to_owned(),
            is_time: false,
            is_line: true,
            points,
        }
    }

    /// Returns the graph as SVG.
    pub(super) fn svg(&self) -> String {
        let points: Vec<&Point> = self.points.iter().take(MAX_POINTS).collect();
        let oldest = points
            .iter()
            .map(|point| point.ago_seconds)
            .fold(if self.is_line { SHORTEST } else { 1.0 }, f64::max);
        let largest = points.iter().map(|point| point.value).fold(0.0, f64::max);
        let largest = largest.max(1.0);
        let ((width, height), (left, right, top, bottom)) = (SIZE, MARGIN);
        let (inner_width, inner_height) = (width - left - right, height - top - bottom);
        let title = escaped(&self.title);
        // What has links in it is no picture.
        let has_links = points.iter().any(|point| point.job.is_some());
        let role = if has_links { "group" } else { "img" };
        let mut svg = format!(
            "<svg class=\"graph\" viewBox=\"0 0 {width} {height}\" role=\"{role}\" aria-label=\"{title}\">"
        );
        for step in 0..=2u8 {
            let share = f64::from(step) / 2.0;
            let y = top + inner_height * (1.0 - share);
            let label = self.value_text(largest * share);
            let (end, text_x, text_y) = (width - right, left - 6.0, y + 4.0);
            write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"y\" x=\"{text_x}\" y=\"{text_y:.1}\">{label}</text>"
            )
            .unwrap_or_default();
        }
        let (end, base) = (width - right, height - 6.0);
        write!(
            svg,
            "<text x=\"{left}\" y=\"{base}\">{} ago</text><text class=\"y\" x=\"{end}\" y=\"{base}\">now</text>",
            time(oldest)
        )
        .unwrap_or_default();
        let place = |point: &Point| {
            let x = left + inner_width * (1.0 - percent(point.ago_seconds, oldest) / 100.0);
            let y = top + inner_height * (1.0 - percent(point.value, largest) / 100.0);
            (x, y)
        };
        match self.is_line {
            true => self.write_lines(&mut svg, &points, place),
            false => points.iter().for_each(|point| {
                let (x, y) = place(point);
                self.write_point(&mut svg, point, x, y);
            }),
        }
        svg.push_str("</svg>");
        svg
    }

    /// Returns the kinds of values, with the class of their lines and their latest value for people.
    pub(super) fn lines(&self) -> Vec<(String, &str, String)> {
        let mut kinds: Vec<(&str, f64)> = Vec::new();
        for point in &self.points {
            match kinds.iter_mut().find(|(kind, _)| *kind == point.kind) {
                Some((_, value)) => *value = point.value,
                None => kinds.push((&point.kind, point.value)),
            }
        }
        let kinds = kinds.into_iter().take(MAX_LINES).enumerate();
        kinds
            .map(|(index, (kind, value))| (format!("line{index}"), kind, self.value_text(value)))
            .collect()
    }

    fn write_lines(
        &self,
        svg: &mut String,
        points: &[&Point],
        place: impl Fn(&Point) -> (f64, f64),
    ) {
        for (class, kind, _) in self.lines() {
            let mut line = String::new();
            let mut before: Option<f64> = None;
            for point in points.iter().filter(|point| point.kind == kind) {
                let is_joined = before.is_some_and(|ago| (ago - point.ago_seconds).abs() < MAX_GAP);
                before = Some(point.ago_seconds);
                let (x, y) = place(point);
                match is_joined {
                    true => write!(line, "L{x:.1} {y:.1}"),
                    // A value alone is a dot, as the ends of lines are round.
                    false => write!(line, "M{x:.1} {y:.1}h.1"),
                }
                .unwrap_or_default();
            }
            let kind = escaped(&visible::Shown(kind).to_string());
            write!(
                svg,
                "<path class=\"curve {class}\" d=\"{line}\"><title>{kind}</title></path>"
            )
            .unwrap_or_default();
        }
    }

    fn write_point(&self, svg: &mut String, point: &Point, x: f64, y: f64) {
        let Point {
            ago_seconds,
            value,
            kind,
            job,
        } = point;
        let space = if kind.is_empty() { "" } else { ", " };
        let text = format!(
            "{}{space}{kind}, {} ago",
            self.value_text(*value),
            time(ago_seconds)
        );
        let (text, class) = (escaped(&text), escaped(kind));
        let link = job.as_ref().map(super::address::encoded);
        if let Some(id) = &link {
            write!(
                svg,
                "<a href=\"/job/{id}\" aria-label=\"Job {id}: {text}\">"
            )
            .unwrap_or_default();
        }
        match kind.as_str() {
            // A failure has another form, not only another colour.
            "failed" => write!(
                svg,
                "<path class=\"dot {class}\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"><title>{text}</title></path>",
                x - 4.0,
                y - 4.0
            ),
            _ => write!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{text}</title></circle>"
            ),
        }
        .unwrap_or_default();
        svg.push_str(if link.is_some() { "</a>" } else { "" });
    }

    fn value_text(&self, value: f64) -> String {
        match self.is_time {
            true => time(value),
            false => format!("{:.0} %", value * 100.0),
        }
    }
}
