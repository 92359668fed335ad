//! A place for one store: a folder.

use job_store::{Reader, Writer};

pub(crate) struct Place(tempfile::TempDir);

impl Place {
    #[expect(clippy::unnecessary_wraps, reason = "other stores need a server")]
    pub(crate) fn or_not_run() -> Option<Self> {
        Some(Self(tempfile::tempdir().expect("a temporary folder")))
    }

    pub(crate) fn open(&self) -> (Box<dyn Writer>, Box<dyn Reader>) {
        let place = job_store::Place::File(self.0.path().join("jobs.db"));
        place.open().expect("a good store")
    }

    /// Tells whether any file of the store has these bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let files = std::fs::read_dir(self.0.path()).expect("a folder");
        files.into_iter().any(|file| {
            let content = std::fs::read(file.expect("a file").path()).expect("a file");
            content.windows(bytes.len()).any(|window| window == bytes)
        })
    }
}
