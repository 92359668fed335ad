//! The author and the reason of a pause, for other operators.

/// The option of commands that pause workers.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct NoteArgs {
    /// Reason for the pause, shown to other operators (at most 1,000 bytes)
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
}

/// Returns the current user as `USER@HOST`. It is not verified: all holders of admin.cap have all rights.
pub(super) fn operator() -> String {
    let variables = ["SUDO_USER", "USER", "LOGNAME"];
    let user = variables
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.is_empty())
        .unwrap_or_else(|| match rustix::process::getuid() {
            root if root.is_root() => "root".to_owned(),
            user => format!("uid {}", user.as_raw()),
        });
    let system = rustix::system::uname();
    format!("{user}@{}", system.nodename().to_string_lossy())
}
