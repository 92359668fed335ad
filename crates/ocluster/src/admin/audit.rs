//! `audit`: shows what operators did.

use std::ffi::OsString;
use std::time::Duration;

use cluster_api::{AuditEntry, AuditQuery};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::{Audit, AuditedCall};
use cli::error::CommandError;
use cli::human::table;
use cli::print::print_error;
use cli::quantities::age;
use cli::quote::printable;

/// How many entries are asked for at a time.
const PAGE: u32 = 500;

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
    let audit = fetch(&service, args.since, args.limit as usize).await?;
    if audit.calls.is_empty() {
        print_error("No entries.\n");
    }
    common.format().print(|| text(&audit), || &audit)
}

/// Asks for pages until there are enough entries, or no more.
async fn fetch(
    service: &Service,
    within: Option<Duration>,
    limit: usize,
) -> Result<Audit, CommandError> {
    let mut calls = Vec::new();
    let mut before = None;
    loop {
        let missing = u32::try_from(limit - calls.len()).unwrap_or(PAGE);
        let query = AuditQuery {
            within,
            before,
            at_most: Some(missing.min(PAGE)),
        };
        let page = match service.admin().audit(&query).await {
            Ok(page) => page,
            Err(error) => {
                let about = About::default();
                return Err(service.failed("JobsAdmin.audit", about, error).await);
            }
        };
        calls.extend(page.entries.into_iter().take(limit - calls.len()).map(call));
        // It gets smaller with each page. A scheduler for which it does not would be asked for ever.
        let next = page
            .next
            .filter(|next| before.is_none_or(|before| *next < before));
        if next.is_none() || calls.len() == limit {
            return Ok(Audit {
                calls,
                more: next.is_some(),
            });
        }
        before = next;
    }
}

fn call(entry: AuditEntry) -> AuditedCall {
    let AuditEntry {
        time,
        service,
        address,
        by,
        action,
        pool,
        object,
        detail,
        error,
    } = entry;
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    AuditedCall {
        time: format!("{time:.3}"),
        by: given(by),
        address,
        service,
        action,
        pool: given(pool),
        object,
        detail: given(detail),
        error: given(error),
    }
}

fn text(audit: &Audit) -> String {
    if audit.calls.is_empty() {
        return String::new();
    }
    let heading = ["TIME", "BY", "ACTION", "POOL", "OBJECT", "DETAIL"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(audit.calls.iter().map(row));
    let more = match audit.more {
        true => "There are more; see --limit.\n",
        false => "",
    };
    table(&rows) + more
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
