//! The columns of a row, as values.

use cluster_postgres::{FromSql, Row, text};
use pool::Time;

use crate::StoreError;

/// A row whose columns are read by their names.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Row);

impl Fields<'_> {
    fn get<T: for<'b> FromSql<'b>>(self, column: &str) -> Result<T, StoreError> {
        let found = self.0.try_get(column);
        found.map_err(|error| StoreError::Damaged(format!("column {column}: {error}")))
    }

    pub(super) fn number(self, column: &str) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(super) fn optional_number(self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    /// Returns a number that has its limits.
    pub(super) fn small<T: TryFrom<i64>>(self, column: &str) -> Result<T, StoreError> {
        let number = self.number(column)?;
        T::try_from(number).map_err(|_| StoreError::Damaged(format!("column {column} is {number}")))
    }

    pub(super) fn flag(self, column: &str) -> Result<bool, StoreError> {
        self.get(column)
    }

    pub(super) fn text(self, column: &str) -> Result<String, StoreError> {
        self.get(column).map(text::decode)
    }

    pub(super) fn optional_text(self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.get::<Option<String>>(column)?.map(text::decode))
    }

    pub(super) fn optional_bytes(self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    pub(super) fn time(self, column: &str) -> Result<Time, StoreError> {
        self.number(column).map(Time::from_micros)
    }
}

/// Returns a text as a value of a statement.
pub(super) fn text(text: &str) -> String {
    text::encode(text).into_owned()
}

/// Makes the values of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as cluster_postgres::Value),*]
    };
}
pub(super) use values;
