//! One connection, while it lasts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::task::Poll;

use futures::future::LocalBoxFuture;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::Error;

/// A value of a statement.
pub type Value = Box<dyn ToSql + Sync + Send>;

/// How many statements are kept prepared. There are some dozens, and searches make more.
const MAX_PREPARED: usize = 200;

/// A statement with its values.
pub struct Statement {
    sql: &'static str,
    values: Vec<Value>,
}

impl Statement {
    /// Returns a statement with its values.
    pub fn new(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql, values }
    }
}

/// A connection, while it lasts.
pub struct Session {
    pub(crate) client: Client,
    pub(crate) database: String,
    prepared: RefCell<HashMap<String, tokio_postgres::Statement>>,
}

impl Session {
    pub(crate) fn new(client: Client, database: String) -> Self {
        Self {
            client,
            database,
            prepared: RefCell::default(),
        }
    }

    /// Runs statements of one text, which has no values.
    ///
    /// # Errors
    ///
    /// [`Error`] when the database cannot be reached, or refuses one of them.
    pub async fn run(&self, sql: &str) -> Result<(), Error> {
        let done = self.client.batch_execute(sql).await;
        done.map_err(|error| self.explain(&error))
    }

    /// Returns the rows that a statement finds.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        let rows = self.client.query(&statement, values).await;
        rows.map_err(|error| self.explain(&error))
    }

    /// Returns the rows that a statement without values finds. It is not kept prepared.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn query_once(&self, sql: &str) -> Result<Vec<Row>, Error> {
        let rows = self.client.query(sql, &[]).await;
        rows.map_err(|error| self.explain(&error))
    }

    /// Returns the first row that a statement finds.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn first(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Runs a statement, and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepare(sql).await?;
        let changed = self.client.execute(&statement, values).await;
        changed.map_err(|error| self.explain(&error))
    }

    /// Runs statements in their order, and returns how many rows each has changed. All are sent before the first one is
    /// answered, so that they take no more time than the database needs for them.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run): the first error, after which the database has refused the others.
    pub async fn run_all(&self, statements: &[Statement]) -> Result<Vec<u64>, Error> {
        let mut sent: Vec<LocalBoxFuture<'_, _>> = Vec::with_capacity(statements.len());
        let mut answered = Vec::with_capacity(statements.len());
        for Statement { sql, values } in statements {
            let prepared = self.prepare(sql).await?;
            let client = &self.client;
            let mut execution: LocalBoxFuture<'_, _> = Box::pin(async move {
                let values = values
                    .iter()
                    .map(|value| &**value as &(dyn ToSql + Sync))
                    .collect::<Vec<_>>();
                client.execute(&prepared, &values).await
            });
            // To begin with it is to send it.
            answered.push(match futures::poll!(&mut execution) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            });
            sent.push(execution);
        }
        let mut changed = Vec::with_capacity(statements.len());
        let mut error = None;
        for (answer, execution) in answered.into_iter().zip(sent) {
            let answer = match answer {
                Some(answer) => answer,
                None => pin!(execution).await,
            };
            match answer {
                Ok(rows) => changed.push(rows),
                Err(found) if error.is_none() => error = Some(self.explain(&found)),
                // The transaction has failed: all statements after the first error do.
                Err(_) => {}
            }
        }
        error.map_or(Ok(changed), Err)
    }

    async fn prepare(&self, sql: &str) -> Result<tokio_postgres::Statement, Error> {
        if let Some(prepared) = self.prepared.borrow().get(sql) {
            return Ok(prepared.clone());
        }
        let statement = self.client.prepare(sql).await;
        let statement = statement.map_err(|error| self.explain(&error))?;
        let mut prepared = self.prepared.borrow_mut();
        if prepared.len() >= MAX_PREPARED {
            prepared.clear();
        }
        prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn explain(&self, error: &tokio_postgres::Error) -> Error {
        Error::of(&self.database, error)
    }
}
