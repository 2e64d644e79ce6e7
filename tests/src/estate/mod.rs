//! A generated estate of the CORE service's shape: its database with all tables, and the objects of its two buckets.
//!
//! Seeded: the same seed and scale give the same rows and the same bytes, on every machine. The database and the buckets
//! belong together: `bulk_uploads.identifier` and `csv_downloads.filename` are keys of objects. Used by the rehearsal
//! behind `make demo` and by the integration suite (at a scale of 5 it is there in about a second).

mod archive;
mod load;
mod objects;
mod recipe;
mod rows;
mod schema;
mod size;
mod spreadsheet;
mod text;
mod upload;

pub use load::LoadError;
pub use objects::{Bucket, Object, Objects};
pub use rows::Rows;
pub use schema::{Column, Table, Type};
pub use upload::UploadError;

/// A seed, a scale, and everything that follows from them.
#[derive(Debug, Clone)]
pub struct Estate {
    seed: u64,
    scale_mb: u64,
    tables: Vec<Table>,
}

impl Estate {
    /// An estate whose database takes about `scale_mb` megabytes on disk with its indexes (at least a few), and whose
    /// buckets hold about half as much.
    pub fn new(seed: u64, scale_mb: u64) -> Self {
        Self { seed, scale_mb, tables: schema::tables() }
    }

    /// The tables in the order in which they are created.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// How many rows a table has; 0 for a table that the estate has not.
    pub fn row_count(&self, table: &str) -> u64 {
        if self.tables.iter().any(|known| known.name == table) { size::row_count(table, self.scale_mb) } else { 0 }
    }

    /// A table's rows in COPY's text format.
    pub fn rows(&self, table: &Table) -> Rows<'_> {
        Rows::new(self, table)
    }

    /// `bulk_uploads.identifier` of row number `row`: a random (version 4) UUID, and the key of its object.
    pub fn upload_identifier(&self, row: u64) -> String {
        let mut bytes = [0; 16];
        rows::stream(self.seed, "bulk_uploads.identifier", row).fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// `csv_downloads.filename` of row number `row`, named as the service names its downloads, and the key of its object.
    pub fn download_filename(&self, row: u64) -> String {
        let mut rng = rows::stream(self.seed, "csv_downloads.filename", row);
        let kind = text::pick(&mut rng, &["lettings", "sales"]);
        let place = text::place(&mut rng);
        let (day, hour, second) = (rng.u8(1..29), rng.u8(0..24), rng.u8(0..60));
        format!("{kind}-logs-{place} & Søn Homes-2024-02-{day:02} {hour:02}:17:{second:02} +0000-{row}.csv")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_rows(estate: &Estate) -> Vec<u8> {
        let mut out = Vec::new();
        for table in estate.tables() {
            let mut rows = estate.rows(table);
            while rows.write_next(&mut out) {}
        }
        out
    }

    #[test]
    fn the_same_seed_and_scale_give_the_same_rows() {
        let first = all_rows(&Estate::new(7, 1));

        assert_eq!(first, all_rows(&Estate::new(7, 1)));
        assert_ne!(first, all_rows(&Estate::new(8, 1)));
    }

    #[test]
    fn every_row_has_all_columns() {
        let estate = Estate::new(1, 1);
        for table in estate.tables() {
            let (mut rows, mut count) = (estate.rows(table), 0);
            let mut out = Vec::new();
            while rows.write_next(&mut out) {
                let text = String::from_utf8(std::mem::take(&mut out)).unwrap();
                assert_eq!(text.matches('\t').count() + 1, table.columns.len(), "{}", table.name);
                assert_eq!(text.matches('\n').count(), 1, "{}", table.name);
                count += 1;
            }
            assert_eq!(count, estate.row_count(table.name), "{}", table.name);
        }
    }

    #[test]
    fn uploads_have_the_identifiers_of_their_rows() {
        let estate = Estate::new(1, 1);
        let table = estate.tables().iter().find(|table| table.name == "bulk_uploads").unwrap();
        let mut out = Vec::new();
        assert!(estate.rows(table).write_next(&mut out));

        assert!(String::from_utf8(out).unwrap().contains(&estate.upload_identifier(0)));
        assert_eq!(estate.objects(Bucket::BulkUpload).next().unwrap().key, estate.upload_identifier(0));
    }
}
