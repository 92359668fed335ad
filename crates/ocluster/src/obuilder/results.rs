//! `obuilder ls` and `obuilder log`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use obuilder::StepId;
use obuilder::builder::Builder;

use super::output::{OutputArgs, size};
use super::result_id::ResultId;
use super::store_args::{Need, StoreArgs};
use super::tree::{self, Line};
use crate::error::CommandError;
use crate::human::table;
use crate::json;
use crate::terminal::LogOutput;

/// How many digits of an id are shown to people: enough for stores of any size.
const DIGITS: usize = 12;

/// List the results, each below what it was made from
///
/// Sizes are what the files take, without those that a result shares with one above it as hard links. In an overlayfs store
/// that is what the step added; elsewhere it is all there is, as shared blocks cannot be told.
#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only this result, and those based on it
    #[arg(value_name = "ID")]
    id: Option<ResultId>,
    /// Do not look for sizes, which takes a while in a large store
    #[arg(long)]
    no_sizes: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Print what the step of a result printed
#[derive(clap::Args, Debug)]
pub(super) struct LogArgs {
    /// The result
    #[arg(value_name = "ID")]
    id: ResultId,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn list(args: ListArgs) -> Result<(), CommandError> {
    let builder = args.store.read(Need::Results)?;
    let root = args.id.map(|id| id.find(&builder)).transpose()?;
    let entries = builder.entries().map_err(CommandError::caused)?;
    let lines = tree::lines(entries, root.as_ref());
    let sizes = match args.no_sizes {
        true => vec![None; lines.len()],
        false => sizes(&builder, &lines).await?,
    };
    let now = Timestamp::now();
    args.output.print(
        || text(&lines, &sizes, now),
        || json::obuilder::Results {
            results: lines.iter().zip(&sizes).map(result_json).collect(),
        },
    )
}

pub(super) async fn log(args: LogArgs) -> Result<(), CommandError> {
    let builder = args.store.read(Need::Results)?;
    let id = args.id.find(&builder)?;
    let path = builder.log_file(&id).map_err(CommandError::caused)?;
    let Some(path) = path else {
        return Err(CommandError::failed(format_args!(
            "there is no result {id}"
        )));
    };
    match fs::File::open(&path) {
        Ok(mut file) => print_log(&mut file).map_err(|error| CommandError::from_output(&error)),
        // What the healthcheck makes of nothing, say, printed nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CommandError::failed(format_args!(
            "cannot read {path:?}: {error}"
        ))),
    }
}

/// Prints a log, as it is unless it goes to a terminal.
fn print_log(log: &mut fs::File) -> io::Result<()> {
    let mut out = io::stdout().lock();
    LogOutput::to_stdout().copy(log, &mut out)
}

fn text(lines: &[Line], sizes: &[Option<u64>], now: Timestamp) -> String {
    let heading = ["RESULT", "SIZE", "MADE", "LAST USED"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for (line, bytes) in lines.iter().zip(sizes) {
        let id: String = line.entry.id.to_string().chars().take(DIGITS).collect();
        rows.push(vec![
            format!("{}{id}", line.indent),
            bytes.map_or_else(|| "-".to_owned(), size),
            ago(line.entry.created, now),
            ago(line.entry.used, now),
        ]);
    }
    table(&rows)
}

fn result_json((line, bytes): (&Line, &Option<u64>)) -> json::obuilder::Result {
    json::obuilder::Result {
        id: line.entry.id.to_string(),
        base: line.entry.base.as_ref().map(StepId::to_string),
        created: line.entry.created.to_string(),
        used: line.entry.used.to_string(),
        size: *bytes,
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
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

/// Returns how much room each result takes. `None` for one that went away meanwhile.
async fn sizes(builder: &Builder, lines: &[Line]) -> Result<Vec<Option<u64>>, CommandError> {
    let mut directories = Vec::new();
    for line in lines {
        let result = builder.store().result(&line.entry.id);
        directories.push(
            result
                .map_err(CommandError::caused)?
                .map(|result| result.dir),
        );
    }
    let measured = tokio::task::spawn_blocking(move || {
        let mut counted = HashSet::new();
        let measure = |directory: Option<PathBuf>| disk_use(&directory?, &mut counted).ok();
        directories.into_iter().map(measure).collect()
    });
    measured.await.map_err(CommandError::caused)
}

/// Returns the room that the files below `top` take, without those in `counted`, to which files with several names are added.
fn disk_use(top: &Path, counted: &mut HashSet<(u64, u64)>) -> io::Result<u64> {
    /// The unit of the system's answer.
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    let mut ahead = vec![top.to_owned()];
    while let Some(path) = ahead.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        let has_names = !metadata.is_dir() && metadata.nlink() > 1;
        if has_names && !counted.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        bytes += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                ahead.push(entry?.path());
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use obuilder::builder::Entry;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn example() -> (Vec<Line>, Vec<Option<u64>>) {
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
        (
            tree::lines(entries, None),
            vec![Some(4_400_000), Some(8192), None],
        )
    }

    #[test]
    fn people_see_a_tree() {
        let (lines, sizes) = example();
        expect![[r#"
            RESULT           SIZE    MADE         LAST USED
            9d75f0d7c398     4.4 MB  24 days ago  1 minute ago
            ├─ ca978112ca1b  8.2 kB  24 days ago  1 minute ago
            └─ 3e23e8160039  -       24 days ago  1 minute ago
        "#]]
        .assert_eq(&text(&lines, &sizes, time("2026-11-25T12:00:00Z")));
    }

    #[test]
    fn programs_see_every_field() {
        let (lines, sizes) = example();
        let results = lines.iter().zip(&sizes).map(result_json).collect();
        let results = json::obuilder::Results { results };
        expect![[r#"
            {
              "results": [
                {
                  "id": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "base": null,
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": 4400000
                },
                {
                  "id": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                  "base": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": 8192
                },
                {
                  "id": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
                  "base": "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91",
                  "created": "2026-11-01T10:00:00Z",
                  "used": "2026-11-25T11:58:30Z",
                  "size": null
                }
              ]
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&results).unwrap());
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
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

    #[test]
    fn a_file_with_two_names_takes_room_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        for path in [&one, &two] {
            fs::create_dir(path).unwrap();
        }
        fs::write(one.join("file"), vec![1; 100_000]).unwrap();
        fs::hard_link(one.join("file"), two.join("file")).unwrap();
        let mut counted = HashSet::new();
        assert!(disk_use(&one, &mut counted).unwrap() >= 100_000);
        assert!(disk_use(&two, &mut counted).unwrap() < 100_000);
    }
}
