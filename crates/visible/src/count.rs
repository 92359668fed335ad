//! Numbers of things.

use alloc::format;
use alloc::string::String;
use core::fmt::Display;

/// Returns `1 job`, `2 jobs` and so on. The plural of `thing` must end in `s`.
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn only_one_is_singular() {
        let jobs = [0_usize, 1, 2, 21].map(|number| counted(number, "job"));
        assert_eq!(jobs, ["0 jobs", "1 job", "2 jobs", "21 jobs"]);
    }
}
