//! `obuilder ls` and `obuilder log`.

use std::fs;
use std::io;

use jiff::Timestamp;
use obuilder::StepId;

use super::output::OutputArgs;
use super::result_id::ResultId;
use super::store_args::{Purpose, StoreArgs};
use super::tree::{self, Line};
use crate::json;
use cli::error::CommandError;
use cli::human::table;
use cli::terminal::LogOutput;
use visible::{Size, counted};

/// How many digits of an id are shown to people: enough for stores of any size.
const DIGITS: usize = 12;

/// How many characters of an op are shown to people.
const SHOWN: usize = 60;

/// List the results as a tree, each below its base
///
/// The size of a result is what its step added, so removing the result frees that much. In an rsync store with
/// --rsync-mode=copy, it is the whole size.
#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Id of a result: list only this one and those based on it
    #[arg(value_name = "ID")]
    id: Option<ResultId>,
    /// Omit sizes, which take time to measure in a large store
    #[arg(long)]
    no_sizes: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Print the log of the step that made a result
#[derive(clap::Args, Debug)]
pub(super) struct LogArgs {
    /// Id of the result
    #[arg(value_name = "ID")]
    id: ResultId,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn list(args: ListArgs) -> Result<(), CommandError> {
    let builder = args.store.read(Purpose::Results)?;
    let root = args.id.map(|id| id.find(&builder)).transpose()?;
    let entries = builder.entries().map_err(CommandError::caused)?;
    let lines = tree::lines(entries, root.as_ref());
    let ids: Vec<StepId> = lines.iter().map(|line| line.entry.id).collect();
    let sizes = match args.no_sizes {
        true => vec![None; lines.len()],
        false => builder.usages(&ids).await.map_err(CommandError::caused)?,
    };
    let mut rows = Vec::with_capacity(lines.len());
    for (line, usage) in lines.into_iter().zip(sizes) {
        let op = builder.op(&line.entry.id).map_err(CommandError::caused)?;
        let size = usage.map(|usage| usage.bytes);
        rows.push(Row { line, size, op });
    }
    let now = Timestamp::now();
    args.output.print(
        || text(&rows, now),
        || json::obuilder::Results {
            results: rows.iter().map(result_json).collect(),
        },
    )
}

pub(super) async fn log(args: LogArgs) -> Result<(), CommandError> {
    let builder = args.store.read(Purpose::Results)?;
    let id = args.id.find(&builder)?;
    let path = builder.log_file(&id).map_err(CommandError::caused)?;
    let Some(path) = path else {
        return Err(CommandError::failed(format_args!(
            "there is no result {id}"
        )));
    };
    match fs::File::open(&path) {
        Ok(mut file) => print_log(&mut file).map_err(|error| CommandError::from_output(&error)),
        // Some results, such as that of the health check, have no log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CommandError::failed(format_args!(
            "cannot read {path:?}: {error}"
        ))),
    }
}

/// Prints a log, unchanged unless it goes to a terminal.
fn print_log(log: &mut fs::File) -> io::Result<()> {
    let mut out = io::stdout().lock();
    LogOutput::to_stdout().copy(log, &mut out)
}

/// A result, with its size and op.
struct Row {
    line: Line,
    /// Its size in bytes. `None` if sizes are omitted, or the result was removed meanwhile.
    size: Option<u64>,
    /// The op that made it. `None` if that was not recorded.
    op: Option<String>,
}

fn text(rows: &[Row], now: Timestamp) -> String {
    let heading = ["RESULT", "SIZE", "MADE", "LAST USED", "STEP"].map(str::to_owned);
    let mut lines = vec![heading.to_vec()];
    for Row { line, size, op } in rows {
        let id: String = line.entry.id.to_string().chars().take(DIGITS).collect();
        lines.push(vec![
            format!("{}{id}", line.indent),
            size.map_or_else(|| "-".to_owned(), |bytes| Size(bytes).to_string()),
            ago(line.entry.created, now),
            ago(line.entry.used, now),
            op.as_deref().map_or_else(|| "-".to_owned(), shortened),
        ]);
    }
    table(&lines)
}

/// Returns the beginning of an op, as it may be shown on a terminal.
fn shortened(op: &str) -> String {
    let shown = visible::OneLine(op).to_string();
    match shown.char_indices().nth(SHOWN) {
        None => shown,
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
    }
}

fn result_json(Row { line, size, op }: &Row) -> json::obuilder::Result {
    json::obuilder::Result {
        id: line.entry.id.to_string(),
        base: line.entry.base.as_ref().map(StepId::to_string),
        created: line.entry.created.to_string(),
        used: line.entry.used.to_string(),
        size: *size,
        step: op.clone(),
    }
}

/// Returns how long ago something was, in its largest unit.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{} ago", counted(number, unit))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use obuilder::builder::Entry;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn example() -> Vec<Row> {
        let base = StepId::of(b"busybox");
        let entry = |id: StepId, base| Entry {
            id,
            base,
            created: time("2026-11-01T10:00:00Z"),
            used: time("2026-11-25T11:58:30Z"),
        };
        let entries = vec![
            entry(base, None),
            entry(StepId::of(b"a"), Some(base)),
            entry(StepId::of(b"b"), Some(base)),
        ];
        let long = format!("/: (run (shell \"{}\"))", "make ".repeat(10));
        let known = [
            (Some(4_400_000), Some("(from busybox)".to_owned())),
            (Some(8192), Some(long)),
            (None, None),
        ];
        let lines = tree::lines(entries, None).into_iter().zip(known);
        lines
            .map(|(line, (size, op))| Row { line, size, op })
            .collect()
    }

    #[test]
    fn the_text_is_a_tree() {
        expect![r#"RESULT           SIZE    MADE         LAST USED     STEP
9d75f0d7c398     4.4 MB  24 days ago  1 minute ago  (from busybox)
├─ ca978112ca1b  8.2 kB  24 days ago  1 minute ago  /: (run (shell "make make make make make make make make make…
└─ 3e23e8160039  -       24 days ago  1 minute ago  -
"#]
        .assert_eq(&text(&example(), time("2026-11-25T12:00:00Z")));
    }

    #[test]
    fn the_json_has_every_field() {
        let results = example().iter().map(result_json).collect();
        let results = json::obuilder::Results { results };
        expect![[r#"
            {
              "results": [
                {
                  "id": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "base": null,
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": 4400000,
                  "step": "(from busybox)"
                },
                {
                  "id": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                  "base": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": 8192,
                  "step": "/: (run (shell \"make make make make make make make make make make \"))"
                },
                {
                  "id": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
                  "base": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": null,
                  "step": null
                }
              ]
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&results).unwrap());
    }

    #[test]
    fn times_have_their_largest_unit() {
        let now = time("2026-11-25T12:00:00Z");
        for (then, text) in [
            ("2026-11-25T12:00:05Z", "just now"),
            ("2026-11-25T11:59:01Z", "just now"),
            ("2026-11-25T11:58:59Z", "1 minute ago"),
            ("2026-11-25T09:00:00Z", "3 hours ago"),
            ("2025-11-25T12:00:00Z", "365 days ago"),
        ] {
            assert_eq!(ago(time(then), now), text);
        }
    }
}
