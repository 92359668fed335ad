//! The tables, which have the same names and columns in both kinds of stores.

use super::CopyError;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The file that has it.
    pub(super) file: File,
    pub(super) columns: &'static [(&'static str, Kind)],
}

/// A file of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Scheduler,
    Jobs,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// In SQLite, a number.
    Flag,
    Real,
    Text,
    Bytes,
    /// In SQLite, a text.
    Date,
}

/// A value. Flags are numbers, and dates are texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    /// Returns about how much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Number(_) | Self::Real(_) => 8,
            Self::Text(text) => text.len() + 8,
            Self::Bytes(bytes) => bytes.len() + 8,
        }
    }
}

impl Table {
    /// Returns its columns for a statement.
    pub(super) fn column_list(&self) -> String {
        let names = self.columns.iter().map(|(name, _)| format!("\"{name}\""));
        names.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn unexpected(&self, column: usize) -> CopyError {
        let (column, _) = self.columns.get(column).unwrap_or(&("?", Kind::Text));
        CopyError::Unexpected {
            table: self.name,
            column,
        }
    }
}

use Kind::{Bytes, Date, Flag, Number, Real, Text};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "cached",
        file: File::Scheduler,
        columns: &[
            ("pool", Text),
            ("cache_hint", Text),
            ("worker", Text),
            ("created", Date),
        ],
    },
    Table {
        name: "pool_user_rate",
        file: File::Scheduler,
        columns: &[("pool", Text), ("user", Text), ("rate", Real)],
    },
    Table {
        name: "workers",
        file: File::Scheduler,
        columns: &[("pool", Text), ("id", Text), ("paused", Flag)],
    },
    Table {
        name: "sturdy_refs",
        file: File::Scheduler,
        columns: &[
            ("hash", Bytes),
            ("type", Text),
            ("args", Bytes),
            ("created", Date),
        ],
    },
    Table {
        name: "pauses",
        file: File::Scheduler,
        columns: &[
            ("pool", Text),
            ("id", Text),
            ("since", Number),
            ("paused_by", Text),
            ("note", Text),
        ],
    },
    Table {
        name: "jobs",
        file: File::Jobs,
        columns: &[
            ("seq", Number),
            ("id", Number),
            ("client", Text),
            ("pool", Text),
            ("hint", Text),
            ("urgent", Flag),
            ("key", Text),
            ("attempts_allowed", Number),
            ("queue_limit", Number),
            ("run_limit", Number),
            ("silence_limit", Number),
            ("return_closed", Number),
            ("return_silent", Number),
            ("return_restarted", Number),
            ("kind", Text),
            ("description", Bytes),
            ("submitted", Number),
            ("fair_start", Number),
            ("state", Number),
            ("since", Number),
            ("attempts", Number),
            ("outcome", Text),
            ("detail", Text),
            ("exit_code", Number),
            ("attached", Flag),
        ],
    },
    Table {
        name: "attempts",
        file: File::Jobs,
        columns: &[
            ("job", Number),
            ("number", Number),
            ("worker", Text),
            ("survives", Flag),
            ("started", Number),
            ("ended", Number),
            ("end", Text),
            ("detail", Text),
            ("exit_code", Number),
        ],
    },
    Table {
        name: "labels",
        file: File::Jobs,
        columns: &[("seq", Number), ("name", Text), ("value", Text)],
    },
    Table {
        name: "audit",
        file: File::Jobs,
        columns: &[
            ("time", Number),
            ("service", Text),
            ("address", Text),
            ("by", Text),
            ("action", Text),
            ("pool", Text),
            ("object", Text),
            ("detail", Text),
            ("error", Text),
        ],
    },
    Table {
        name: "logs",
        file: File::Jobs,
        columns: &[
            ("job", Number),
            ("number", Number),
            ("since", Number),
            ("bytes", Number),
            ("length", Number),
        ],
    },
    Table {
        name: "phases",
        file: File::Jobs,
        columns: &[
            ("job", Number),
            ("attempt", Number),
            ("number", Number),
            ("kind", Text),
            ("name", Text),
            ("log_offset", Number),
            ("started", Number),
            ("ended", Number),
            ("cached", Flag),
        ],
    },
];
