//! `audit`: shows what operators did.

use std::ffi::OsString;
use std::time::Duration;

use cluster_api::AuditQuery;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Common;
use super::service::{About, Service};
use crate::json::audit::{Audit, AuditedCall};
use crate::pages::{self, Listed};
use cli::error::CommandError;
use cli::human::table;
use cli::quantities::age;
use cli::quote::printable;

/// Show what operators did, the latest first
///
/// Each call that was to change something is recorded before it is answered: who made it, from where, and whether it
/// failed. The name is what the operator's program reported; it is not verified.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin audit [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Only entries of this time, such as 30m, 12h or 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    since: Option<Duration>,
    /// Limit of the entries that are shown
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = common.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let fetch = async |before, at_most| {
        let query = AuditQuery {
            within: args.since,
            before,
            at_most: Some(at_most),
        };
        match service.admin().audit(&query).await {
            Ok(page) => Ok((page.entries, page.next)),
            Err(error) => {
                let about = About::default();
                Err(service.failed("JobsAdmin.audit", about, error).await)
            }
        }
    };
    let Listed { entries, are_more } = pages::list(args.limit, fetch).await?;
    let audit = Audit {
        calls: entries.into_iter().map(AuditedCall::of).collect(),
        more: are_more,
    };
    common.format().print(|| text(&audit.calls), || &audit)?;
    pages::print_rest(common.format(), audit.calls.len(), are_more, "entries");
    Ok(())
}

fn text(calls: &[AuditedCall]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let heading = ["TIME", "BY", "ACTION", "POOL", "OBJECT", "DETAIL"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(calls.iter().map(row));
    table(&rows)
}

fn row(call: &AuditedCall) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
    let detail = match (&call.detail, &call.error) {
        (detail, None) => detail.as_deref().map(printable).unwrap_or_default(),
        (None, Some(error)) => format!("failed: {}", printable(error)),
        (Some(detail), Some(error)) => {
            format!("{}; failed: {}", printable(detail), printable(error))
        }
    };
    vec![
        local(&call.time),
        or_dash(&call.by),
        printable(&call.action),
        or_dash(&call.pool),
        printable(&call.object),
        detail,
    ]
}

/// Returns a time as the clock on the wall shows it.
fn local(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => printable(time),
    }
}
