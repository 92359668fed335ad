//! How errors call a lost peer.

use visible::shortened;

/// How many labels are shown.
const MAX_LABELS: usize = 4;

/// How much of each is shown, in bytes.
const MAX_LABEL_BYTES: usize = 256;

/// The descriptions of a peer. Each capability of a lost peer breaks with all of them, so their length is limited,
/// whatever names the peer has.
#[derive(Default)]
pub(crate) struct Labels {
    shown: Vec<String>,
    /// How many more there were.
    more: usize,
}

impl Labels {
    pub(crate) fn add(&mut self, label: String) {
        if self.shown.len() == MAX_LABELS {
            self.more += 1;
            return;
        }
        self.shown
            .push(shortened(&label, MAX_LABEL_BYTES).into_owned());
    }

    /// Returns the descriptions as one text; `None` if there are none.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = match &self.shown[..] {
            [] => return None,
            shown => shown.join("; "),
        };
        if self.more > 0 {
            text.push_str(&format!("; and {} others", self.more));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_labels_are_counted() {
        let mut labels = Labels::default();
        assert_eq!(labels.text(), None);
        for name in ["a", "b"] {
            labels.add(format!("worker {name:?} disconnected"));
        }
        let two = "worker \"a\" disconnected; worker \"b\" disconnected";
        assert_eq!(labels.text().as_deref(), Some(two));
        for index in 0..10_000 {
            labels.add(format!("{index} {}", "ü".repeat(1000)));
        }
        let text = labels.text().unwrap();
        assert!(
            text.starts_with(two) && text.ends_with("; and 9998 others"),
            "{text}"
        );
        assert!(text.len() < 1000);
    }
}
