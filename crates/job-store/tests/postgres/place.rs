//! A place for one store: a database of its own, in a server that all tests share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cluster_postgres::{Lease, Settings};
use job_store::{Reader, Writer, postgres};
use rig::{PostgreSql, report_not_run};

/// It ends with this process.
static SERVER: OnceLock<Option<PostgreSql>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Place {
    server: &'static PostgreSql,
    database: String,
    pub(crate) settings: Settings,
}

impl Place {
    pub(crate) fn or_not_run() -> Option<Self> {
        let start = || {
            let server = PostgreSql::start(&[]);
            server
                .map_err(|error| report_not_run("a store in PostgreSQL", &format!("{error:#}")))
                .ok()
        };
        let server = SERVER.get_or_init(start).as_ref()?;
        let database = format!("store{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let address = server.create(&database).expect("a database");
        let settings = Settings::parse(&address).expect("an address");
        Some(Self {
            server,
            database,
            settings,
        })
    }

    pub(crate) fn open(&self) -> (Box<dyn Writer>, Box<dyn Reader>) {
        cluster_postgres::prepare(&self.settings, &[postgres::TABLES]).expect("tables");
        let lease = Lease::take(&self.settings, "a test").expect("a lease");
        let settings = self.settings.clone();
        let place = job_store::Place::Postgres { settings, lease };
        place.open().expect("a good store")
    }

    /// Tells whether any file of the database, or what was written ahead of it, has these bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.sql("CHECKPOINT");
        let number = self.sql(&format!(
            "SELECT oid FROM pg_database WHERE datname = '{}'",
            self.database
        ));
        let data = self.server.data();
        [data.join("base").join(number), data.join("pg_wal")]
            .into_iter()
            .any(|folder| {
                let files = std::fs::read_dir(folder).expect("a folder").flatten();
                files.filter(|file| file.path().is_file()).any(|file| {
                    let content = std::fs::read(file.path()).expect("a file");
                    // Searching all places of so much in a debug build takes long.
                    let first = bytes[0];
                    let mut rest = &content[..];
                    while let Some(at) = rest.iter().position(|byte| *byte == first) {
                        if rest[at..].starts_with(bytes) {
                            return true;
                        }
                        rest = &rest[at + 1..];
                    }
                    false
                })
            })
    }

    pub(crate) fn reader(&self) -> Box<dyn Reader> {
        Box::new(postgres::open_reader(&self.settings).expect("a good store"))
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn address(&self) -> String {
        self.server.address(&self.database)
    }

    /// Returns the server's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket()
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql).expect("good SQL")
    }
}
