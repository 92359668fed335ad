//! Graphs of what a worker reported.

use std::time::Duration;

use crate::cluster::{Disk, Reading};
use crate::pages::{Graph, Point};

/// Each point of a graph stands for so long: 288 points are a day.
const STEP: Duration = Duration::from_secs(5 * 60);

/// Returns the graphs of a worker's load and of its disks. None without anything to show.
pub(super) fn of(readings: &[Reading]) -> Vec<Graph> {
    let load = series(readings, |reading| {
        let parts = [("processors", reading.load), ("capacity", reading.jobs)];
        let parts = parts.into_iter();
        parts
            .filter_map(|(name, part)| Some((name.to_owned(), part?)))
            .collect()
    });
    let disks = series(readings, |reading| {
        let disks = reading.disks.iter();
        disks
            .map(|Disk { name, free }| (name.to_string(), *free))
            .collect()
    });
    let graphs = [("Load", load), ("Free disk space", disks)];
    let graphs = graphs.into_iter().filter(|(_, points)| !points.is_empty());
    graphs
        .map(|(title, points)| Graph::of_parts(title, points))
        .collect()
}

/// Returns the points of all series: the means of what the readings of each step have.
fn series(readings: &[Reading], values: impl Fn(&Reading) -> Vec<(String, f64)>) -> Vec<Point> {
    let step_of = |reading: &Reading| reading.ago.as_secs() / STEP.as_secs();
    let steps = readings.chunk_by(|a, b| step_of(a) == step_of(b));
    let points = steps.flat_map(|step| {
        // The names of a worker's disks are few.
        let mut sums: Vec<(String, f64, u32)> = Vec::new();
        for (name, value) in step.iter().flat_map(&values) {
            match sums.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => sums.push((name, value, 1)),
            }
        }
        let ago = step.last().map_or(Duration::ZERO, |reading| reading.ago);
        sums.into_iter().map(move |(kind, sum, count)| Point {
            ago_seconds: ago.as_secs_f64(),
            value: sum / f64::from(count),
            kind,
            job: None,
        })
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(minutes: u64, load: Option<f64>, disks: &[(&str, f64)]) -> Reading {
        Reading {
            ago: Duration::from_secs(60 * minutes),
            load,
            jobs: None,
            disks: disks
                .iter()
                .map(|(name, free)| Disk {
                    name: (*name).into(),
                    free: *free,
                })
                .collect(),
        }
    }

    #[test]
    fn a_point_is_the_mean_of_five_minutes() {
        let readings = [
            reading(12, Some(0.25), &[("state", 0.5)]),
            reading(11, Some(0.75), &[("state", 0.5), ("docker", 0.125)]),
            reading(1, None, &[("state", 0.25)]),
        ];
        let graphs = of(&readings);
        let points = |graph: &Graph| {
            let points = graph.points.iter();
            let points = points.map(|point| (point.kind.clone(), point.ago_seconds, point.value));
            points.collect::<Vec<_>>()
        };
        let [load, disks] = graphs.as_slice() else {
            panic!("{graphs:?}");
        };
        assert_eq!(points(load), [("processors".to_owned(), 660.0, 0.5)]);
        let expected = [
            ("state".to_owned(), 660.0, 0.5),
            ("docker".to_owned(), 660.0, 0.125),
            ("state".to_owned(), 60.0, 0.25),
        ];
        assert_eq!(points(disks), expected);
        assert!(of(&[]).is_empty());
    }
}
