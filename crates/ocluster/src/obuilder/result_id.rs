//! Results on a command line: by id, or by an unambiguous prefix of it.

use std::str::FromStr;

use obuilder::StepId;
use obuilder::builder::Builder;

use cli::error::CommandError;

/// How many results are listed when a prefix is ambiguous.
const SHOWN: usize = 5;

/// The id of a result, or a prefix of it.
#[derive(Clone, Debug)]
pub(super) struct ResultId(String);

impl FromStr for ResultId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_id = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match is_id {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err("an id has up to 64 hexadecimal digits"),
        }
    }
}

impl ResultId {
    /// Returns the only result with this id or prefix.
    pub(super) fn find(&self, builder: &Builder) -> Result<StepId, CommandError> {
        let results = builder.store().results().map_err(CommandError::caused)?;
        self.pick(results.into_iter().map(|result| result.id))
    }

    /// Returns the only result with this id or prefix, or a full id without a result, of which something may be left to
    /// remove.
    pub(super) fn find_or_whole(&self, builder: &Builder) -> Result<StepId, CommandError> {
        self.0.parse().or_else(|_| self.find(builder))
    }

    fn pick(&self, ids: impl IntoIterator<Item = StepId>) -> Result<StepId, CommandError> {
        let begins = |id: &StepId| id.to_string().starts_with(&self.0);
        let mut found: Vec<StepId> = ids.into_iter().filter(begins).collect();
        found.sort_unstable();
        match found.as_slice() {
            [] => Err(CommandError::failed(format_args!(
                "there is no result whose id begins with {}",
                self.0
            ))
            .hint("run `obuilder ls` for a list")),
            [id] => Ok(*id),
            several => {
                let shown: Vec<String> =
                    several.iter().take(SHOWN).map(StepId::to_string).collect();
                let more = if several.len() > SHOWN { " …" } else { "" };
                Err(CommandError::failed(format_args!(
                    "{} results have an id that begins with {}: {}{more}",
                    several.len(),
                    self.0,
                    shown.join(" ")
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn an_id_may_be_shortened_to_an_unambiguous_prefix() {
        let ids: Vec<StepId> = (0..40u8).map(|n| StepId::of(&[n])).collect();
        let pick = |text: &str| {
            let id: ResultId = text.parse().unwrap();
            id.pick(ids.iter().copied()).map_err(|e| e.message)
        };
        let first = ids[0];
        assert_eq!(pick(&first.to_string()), Ok(first));
        assert_eq!(pick(&first.to_string()[..6].to_uppercase()), Ok(first));
        expect!["there is no result whose id begins with 0123"]
            .assert_eq(&pick("0123").unwrap_err());
        let several = pick("6")
            .unwrap_err()
            .replace(": ", ":\n")
            .replace(" 6", "\n6");
        expect![[r#"
            3 results have an id that begins with
            6:
            67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6
            68aa2e2ee5dff96e3355e6c7ee373e3d6a4e17f75f9518d843709c0c9bc3e3d4
            6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"#]]
        .assert_eq(&several);
        for text in ["", "xyz", &"0".repeat(65), "../x"] {
            assert!(text.parse::<ResultId>().is_err(), "{text}");
        }
    }
}
