//! Finds the word that the author of a spec probably meant.

/// The longest word that is worth comparing. Those that are known are shorter.
const MAX_WORD: usize = 24;

/// Returns the known word that is closest to `word`, if it is close but not the same: one letter wrong in a short word,
/// two in a longer one. Two neighbours in the wrong order are one mistake, a capital letter is none.
pub(crate) fn closest(word: &[u8], known: &[&'static str]) -> Option<&'static str> {
    if word.len() > MAX_WORD || known.iter().any(|other| word == other.as_bytes()) {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let distances = known
        .iter()
        .map(|&other| (distance(&word, other.as_bytes()), other));
    let (distance, other) = distances.min_by_key(|(distance, _)| *distance)?;
    let tolerated = if other.len() < 5 { 1 } else { 2 };
    (distance <= tolerated).then_some(other)
}

/// Returns how many letters have to be added, removed, changed or swapped with their neighbour.
fn distance(from: &[u8], to: &[u8]) -> usize {
    // Rows of the usual table, the last one first.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{closest, distance};

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("", "run", 3),
            ("run", "", 3),
            ("shel", "shell", 1),
            ("wrokdri", "workdir", 2),
            ("copy", "env", 4),
        ] {
            assert_eq!(
                distance(from.as_bytes(), to.as_bytes()),
                expected,
                "{from} {to}"
            );
        }
    }

    #[test]
    fn only_what_is_close_is_suggested() {
        let known = ["env", "run", "workdir"];
        assert_eq!(closest(b"wrokdri", &known), Some("workdir"));
        assert_eq!(closest(b"Workdir", &known), Some("workdir"));
        assert_eq!(closest(b"rn", &known), Some("run"));
        assert_eq!(closest(b"run", &known), None);
        assert_eq!(closest(b"volume", &known), None);
        assert_eq!(closest(b"", &known), None);
    }
}
