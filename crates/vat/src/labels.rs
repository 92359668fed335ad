//! What a peer is called when it is lost.

/// How many labels are shown.
const MOST: usize = 4;

/// How much of each is shown, in bytes.
const LENGTH: usize = 256;

/// What others have called a peer. Each capability of a lost peer breaks with all of it, so it stays short whatever the
/// peer has had itself called.
#[derive(Default)]
pub(crate) struct Labels {
    shown: Vec<String>,
    /// How many more there are.
    more: usize,
}

impl Labels {
    pub(crate) fn add(&mut self, mut label: String) {
        if self.shown.len() == MOST {
            self.more += 1;
            return;
        }
        if label.len() > LENGTH {
            label.truncate(label.floor_char_boundary(LENGTH));
            label.push('…');
        }
        self.shown.push(label);
    }

    /// Returns them in one text; `None` if there are none.
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
