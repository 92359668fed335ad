//! Links to pages, as commands print them.

use cluster_api::WebLink;

use crate::json::client::PageLink;
use crate::secret_output;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_error;

/// Prints a link, which is a secret.
pub(crate) fn print(format: Format, link: &WebLink) -> Result<(), CommandError> {
    secret_output::protect();
    format.print(
        || format!("{}\n", link.url),
        || PageLink {
            url: link.url.clone(),
            lasts_seconds: link.lasts.as_secs_f64(),
        },
    )?;
    let lasts = visible::CompactElapsed(link.lasts);
    if matches!(format, Format::Text) {
        print_error(&format!(
            "Open it within {lasts}; it works once, and is a secret.\n"
        ));
    }
    Ok(())
}
