//! Why the database cannot be used.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

/// The database has a newer lease than the writer. See the function `begin_batch`.
const FENCED: &str = "OC001";
/// The batch has been committed before.
const COMMITTED: &str = "OC002";

/// Why the database did not answer, or what it answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or the connection was lost.
    #[error("cannot reach the database {database}: {cause}")]
    Unreachable {
        /// The database, without a password.
        database: String,
        /// Why.
        cause: String,
    },
    /// Another process has taken the lease, and only that may write.
    #[error(
        "{0}; this scheduler cannot save anything more: stop it, or stop the other one and start this one again"
    )]
    Fenced(String),
    /// This batch was committed before, though its answer was lost.
    #[error("the batch was committed before")]
    Committed,
    /// The database refused a statement.
    #[error("the database refused: {text}")]
    Refused {
        /// Its words.
        text: String,
        /// Whether the values are wrong, so that it would refuse them at any time.
        is_of_the_values: bool,
    },
    /// A row is not what was expected.
    #[error("the database has a damaged row: {0}")]
    Damaged(String),
}

impl Error {
    /// Tells whether it may be answered when the database is back.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Tells whether the values would be refused at any time.
    pub fn is_of_the_values(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                is_of_the_values: true,
                ..
            }
        )
    }

    /// Returns the meaning of an error of the client library.
    pub(crate) fn of(database: &str, error: &tokio_postgres::Error) -> Self {
        let unreachable = |cause| Self::Unreachable {
            database: database.to_owned(),
            cause,
        };
        let Some(found) = error.as_db_error() else {
            let text = describe(error);
            // The library could not write a value, or read one.
            if text.starts_with("error serializing") || text.starts_with("error deserializing") {
                return Self::Refused {
                    text,
                    is_of_the_values: true,
                };
            }
            return unreachable(text);
        };
        let (code, text) = (found.code().code(), found.message().to_owned());
        match code {
            FENCED => Self::Fenced(text),
            COMMITTED => Self::Committed,
            // The administrator ends it, it starts, it has crashed, all its connections are taken, or it ended ours.
            "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" => unreachable(text),
            _ if code.starts_with("08") => unreachable(text),
            _ => Self::Refused {
                text,
                is_of_the_values: ["22", "23", "54"]
                    .iter()
                    .any(|class| code.starts_with(class)),
            },
        }
    }
}

/// Why the database cannot be used at all. In all these cases nothing has been written to it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or refused a statement.
    #[error(transparent)]
    Database(#[from] Error),
    /// The user may not enter.
    #[error(
        "cannot log in to the database {database}: {cause}; check the user, and its password if it needs one"
    )]
    Denied {
        /// The database.
        database: String,
        /// Its words.
        cause: String,
    },
    /// There is none of that name.
    #[error("there is no database {database}: {cause}; create it as docs/postgresql.md says")]
    Missing {
        /// The database.
        database: String,
        /// Its words.
        cause: String,
    },
    /// The user may not do what is needed.
    #[error("cannot use the database {database}: {cause}; make its user the owner of the database")]
    Rights {
        /// The database.
        database: String,
        /// Its words.
        cause: String,
    },
    /// Texts are kept in another encoding.
    #[error(
        "the database {database} has the encoding {encoding}; create one with the encoding UTF8"
    )]
    Encoding {
        /// The database.
        database: String,
        /// Its encoding.
        encoding: String,
    },
    /// A program of ours has not made its tables.
    #[error(
        "the database {database} is one of another program: it has {found}; create one for the cluster alone"
    )]
    Foreign {
        /// The database.
        database: String,
        /// What gave it away.
        found: String,
    },
    /// A later version of this program has written it.
    #[error(
        "the database {database} has version {found} of the tables of {part}, but this program knows only version \
         {known}; use a newer program"
    )]
    Newer {
        /// The database.
        database: String,
        /// What the tables are for.
        part: &'static str,
        /// Their version.
        found: i64,
        /// The version that this program knows.
        known: i64,
    },
    /// The list of certificate authorities cannot be used.
    #[error("cannot use the certificates of {place}: {cause}")]
    Certificates {
        /// Where they are.
        place: String,
        /// Why.
        cause: String,
    },
    /// The system has no thread or socket to give.
    #[error("cannot prepare to connect to the database")]
    System(#[source] std::io::Error),
}

impl OpenError {
    /// Returns the meaning of an error of the client library.
    pub(crate) fn of(database: &str, error: &tokio_postgres::Error) -> Self {
        let database = database.to_owned();
        let found = error.as_db_error();
        let cause = found.map_or_else(String::new, |found| found.message().to_owned());
        match found.map(tokio_postgres::error::DbError::code) {
            Some(code)
                if *code == SqlState::INVALID_PASSWORD
                    || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                Self::Denied { database, cause }
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
                Self::Missing { database, cause }
            }
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::Rights { database, cause }
            }
            _ => Self::Database(Error::of(&database, error)),
        }
    }
}

/// Returns the text of an error with its causes, which the library does not show by itself.
fn describe(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let found_text = found.to_string();
        if !text.contains(&found_text) {
            text.push_str(": ");
            text.push_str(&found_text);
        }
        cause = found.source();
    }
    text
}
