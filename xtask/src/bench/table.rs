//! Measured times, and what they say.

/// The times of one benchmark, in milliseconds, by who was measured.
pub(super) struct Table {
    title: String,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            rows: Vec::new(),
        }
    }

    /// Adds a time. Those of round 0 are for warming up.
    pub(super) fn add(&mut self, name: &str, round: usize, milliseconds: f64) {
        if round == 0 {
            return;
        }
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, times)) => times.push(milliseconds),
            None => self.rows.push((name.to_owned(), vec![milliseconds])),
        }
    }

    /// Prints it in Markdown, as `docs/benchmarks.md` has it.
    pub(super) fn print(&self) {
        print!("{}", self.text());
    }

    fn text(&self) -> String {
        let first = self.rows.first().map_or(0.0, |(_, times)| median(times));
        let mut text = format!(
            "\n| {} | median | least | ratio |\n|--|--|--|--|\n",
            self.title
        );
        for (name, times) in &self.rows {
            let (median, least) = (
                median(times),
                times.iter().copied().fold(f64::MAX, f64::min),
            );
            let ratio = median / first;
            text += &format!(
                "| {name} | {} | {} | {ratio:.2} |\n",
                shown(median),
                shown(least)
            );
        }
        text
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn shown(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.2} s", milliseconds / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_medians_and_ratios_and_leaves_out_the_first_round() {
        let mut table = Table::new("a step");
        for (round, time) in [(0, 1000.0), (1, 30.0), (2, 10.0), (3, 20.0)] {
            table.add("ours", round, time);
            table.add("theirs", round, time * 100.0);
        }
        let text = "\n| a step | median | least | ratio |\n|--|--|--|--|\n\
            | ours | 20.0 ms | 10.0 ms | 1.00 |\n| theirs | 2.00 s | 1.00 s | 100.00 |\n";
        assert_eq!(table.text(), text);
    }
}
