//! Creates the estate's database through one connection: tables, rows by COPY, keys and the rest, statistics.

use bytes::Bytes;
use futures::SinkExt as _;
use tokio_postgres::Client;

use super::schema::{CONSTRAINTS, EXTRAS, TABLES, Table};
use super::{Estate, rows};

/// Bytes that are sent at a time: large enough that a message costs nothing, small enough to keep the server busy while
/// the next rows are made.
const CHUNK_BYTES: usize = 256 * 1024;

/// The server refused a step of the loading.
#[derive(Debug, thiserror::Error)]
#[error("the estate's database cannot be filled: {step}: {cause}")]
pub struct LoadError {
    step: String,
    cause: String,
}

impl LoadError {
    fn new(step: impl Into<String>, error: &tokio_postgres::Error) -> Self {
        // tokio-postgres shows only "db error"; what the server said is in its source.
        let cause = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
        Self { step: step.into(), cause }
    }
}

impl Estate {
    /// Fills the empty database that `client` is connected to, and analyses it. The user must own the database; extensions
    /// are created where the server has them (all of them are trusted ones from PostgreSQL 13 on).
    pub async fn create_database(&self, client: &Client) -> Result<(), LoadError> {
        for sql in TABLES {
            client.batch_execute(sql).await.map_err(|error| LoadError::new("creating the tables", &error))?;
        }
        for table in self.tables() {
            self.copy_table(client, table).await.map_err(|error| LoadError::new(table.name, &error))?;
        }
        for (step, sql) in
            [("adding the constraints", CONSTRAINTS), ("adding the rest", EXTRAS), ("ANALYZE", "ANALYZE")]
        {
            client.batch_execute(sql).await.map_err(|error| LoadError::new(step, &error))?;
        }
        Ok(())
    }

    async fn copy_table(&self, client: &Client, table: &Table) -> Result<(), tokio_postgres::Error> {
        let sink = client.copy_in(&format!("COPY {} FROM STDIN", table.name)).await?;
        let mut sink = std::pin::pin!(sink);
        let mut rows = self.rows(table);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES * 2);
        while rows.write_next(&mut chunk) {
            if chunk.len() >= CHUNK_BYTES {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_BYTES * 2));
                sink.send(Bytes::from(full)).await?;
            }
        }
        if !chunk.is_empty() {
            sink.send(Bytes::from(chunk)).await?;
        }
        sink.finish().await?;
        let row_count = self.row_count(table.name);
        if row_count > 0 && table.columns.iter().any(|column| column.serial) {
            let last = rows::id_of(row_count - 1);
            client.batch_execute(&format!("SELECT setval('{}_id_seq', {last})", table.name)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::estate::Estate;
    use crate::local_postgres::LocalPostgres;

    #[tokio::test]
    async fn the_estate_loads_into_a_real_server() {
        // GIVEN a server with an empty database that an ordinary user owns
        let server = LocalPostgres::start().await.unwrap();
        let url = server.create_database("data_collector", "owner").await.unwrap();
        let client = server.connect(&url).await.unwrap();

        // WHEN an estate is created there
        let estate = Estate::new(3, 5);
        estate.create_database(&client).await.unwrap();

        // THEN every table has its rows, and the whole is about as large as asked for
        for table in estate.tables() {
            let row = client.query_one(&format!("SELECT count(*) FROM {}", table.name), &[]).await.unwrap();
            assert_eq!(u64::try_from(row.get::<_, i64>(0)).unwrap(), estate.row_count(table.name), "{}", table.name);
        }
        let size = server.size(&client).await.unwrap();
        assert!((10_000_000..22_000_000).contains(&size), "5 MB and 8 MB of catalogue were expected: {size}");
    }
}
