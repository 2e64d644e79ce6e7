//! How many rows each table has at a scale. Knows no value and no SQL.
//!
//! The proportions are those of the service: the two log tables and the audit tables are nearly all of it.

use super::schema::Type;

/// Which share of the database a large table takes (per mille) and what one of its rows takes on disk, with its part of
/// the indexes (bytes, measured on PostgreSQL 15).
const LARGE: [(&str, u64, u64); 5] = [
    ("lettings_logs", 330, 950),
    ("sales_logs", 140, 820),
    ("versions", 330, 1_500),
    ("log_validations", 150, 285),
    ("bulk_upload_errors", 30, 240),
];

/// Rows per megabyte of scale in the tables that grow with the number of organisations and their people, and the fewest
/// that keep every relation between them meaningful.
const MEDIUM: [(&str, u64, u64); 19] = [
    ("bulk_uploads", 2, 12),
    ("csv_downloads", 1, 5),
    ("data_protection_confirmations", 1, 10),
    ("exports", 1, 10),
    ("la_rent_ranges", 10, 100),
    ("la_sale_ranges", 5, 50),
    ("legacy_users", 4, 20),
    ("location_deactivation_periods", 1, 5),
    ("locations", 20, 50),
    ("merge_request_organisations", 1, 4),
    ("merge_requests", 1, 4),
    ("organisation_name_changes", 1, 4),
    ("organisation_relationships", 2, 10),
    ("organisation_rent_periods", 6, 20),
    ("organisations", 2, 20),
    ("read_marks", 4, 20),
    ("scheme_deactivation_periods", 1, 5),
    ("schemes", 6, 20),
    ("users", 8, 40),
];

/// Rows of a table at a scale of `scale_mb` megabytes on disk.
pub(super) fn row_count(table: &str, scale_mb: u64) -> u64 {
    if let Some((_, share, row_bytes)) = LARGE.iter().find(|(name, ..)| *name == table) {
        return (scale_mb * 1_000_000 * share / 1_000 / row_bytes).max(20);
    }
    if let Some((_, per_mb, least)) = MEDIUM.iter().find(|(name, ..)| *name == table) {
        return (scale_mb * per_mb).max(*least);
    }
    match table {
        "ar_internal_metadata" => 2,
        "notifications" => 6,
        "collection_resources" => 0, // Nobody uploaded one yet: an empty table must arrive too.
        "local_authorities" => 309,
        "local_authority_links" => 40,
        "sessions" => 60,
        _ => 180,
    }
}

/// How often a value of this type is NULL in a column that allows it, in percent: most answers of a log are not given.
pub(super) fn null_percent(kind: Type) -> u8 {
    match kind {
        Type::Bigint => 15,
        Type::Boolean | Type::Timestamp | Type::Date => 30,
        Type::Integer | Type::Money => 40,
        Type::Text | Type::Numeric => 55,
        Type::Uuid | Type::Json => 0,
    }
}
