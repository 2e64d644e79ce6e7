//! What each column is filled with, decided once per table from its name and type. Knows no row.

use super::schema::{Column, Table, Type};
use super::size::null_percent;

/// How a column's value comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    /// The row's own id.
    Serial,
    /// The id of any row of that table.
    Reference(&'static str),
    /// The id of that table's row number `row mod count`: with [`Recipe::Lap`] it makes unique pairs.
    Cycle(&'static str),
    /// The id of that table's row number `row div (count of the other)`, counted from the row that `Cycle` is at.
    Lap {
        /// Whose ids are taken.
        of: &'static str,
        /// Whose rows are cycled through.
        cycle: &'static str,
    },
    /// `first + (row / divisor) mod count`.
    Digit {
        /// How many rows pass before it moves on.
        divisor: u64,
        /// How many values it takes.
        count: u64,
        /// The smallest of them.
        first: u64,
    },
    /// The code of local authority number `(row / divisor) mod 309`.
    AuthorityCode(u64),
    /// One of these whole numbers.
    Between(i64, i64),
    /// An answer to a question of a form: mostly small, sometimes a year, seldom an extreme.
    Answer,
    /// Pounds and pence; seldom NaN.
    Money,
    /// A number without bounds: pounds, seldom NaN or something very long.
    Unbounded,
    /// Two numbers in order share a base: `soft_min`, `soft_max`; the second is this much larger.
    Range(u32),
    /// True or false.
    Boolean,
    /// The row's time of creation, rising from row to row.
    Created,
    /// A while after [`Recipe::Created`].
    Updated,
    /// Any moment of the service's life.
    Timestamp,
    /// Any day of it.
    Date,
    /// The row's UUID: for bulk uploads it is the object's key.
    Identifier,
    /// The row's file name: for CSV downloads it is the object's key.
    Filename,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// The prefix and the row's number: unique.
    Numbered(&'static str),
    /// An address like `zoe.patel.17@example.org`: unique.
    Email,
    /// 60 characters like a password's hash. Nobody's.
    Hash,
    /// A person's name.
    Person,
    /// A town.
    Place,
    /// A postcode.
    Postcode,
    /// Twelve digits.
    Uprn,
    /// A few words, now and then an awkward text.
    Phrase,
    /// A paragraph or several.
    Prose,
    /// A record in YAML, a few kilobytes.
    Document,
    /// What changed in a record, a few hundred bytes.
    Changes,
    /// A JSON object.
    Json,
}

/// A column's recipe, how often it is NULL, and the person of the household that it speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    /// How the value comes about.
    pub(super) recipe: Recipe,
    /// How many of 100 rows have NULL instead.
    pub(super) null_percent: u8,
    /// 1 to 8, or 0: households with fewer persons have NULL here.
    pub(super) person: u8,
}

/// The fillings of a table's columns, in their order.
pub(super) fn fillings(table: &Table) -> Vec<Filling> {
    table.columns.iter().map(|column| filling(table.name, column)).collect()
}

fn filling(table: &str, column: &Column) -> Filling {
    let recipe = unique(table, column.name)
        .or_else(|| reference(column.name))
        .or_else(|| by_name(column))
        .unwrap_or_else(|| by_type(column));
    let fixed = column.required || unique(table, column.name).is_some_and(|recipe| !matches!(recipe, Recipe::Hash));
    let null_percent = match recipe {
        _ if fixed => 0,
        _ if column.name.ends_with("_value_check") || column.name.starts_with("old_") => 90,
        Recipe::Hash => 80,
        Recipe::Range(_) => 0,
        Recipe::Document => 20,
        _ => null_percent(column.kind),
    };
    Filling { recipe, null_percent, person: person(column.name) }
}

/// Columns of one table whose values must be unique or mean something elsewhere.
fn unique(table: &str, column: &str) -> Option<Recipe> {
    const YEARS: (u64, u64) = (4, 2021);
    Some(match (table, column) {
        (_, "id") => Recipe::Serial,
        ("ar_internal_metadata", "key") => Recipe::OneOf(&["environment", "schema_sha1"]),
        ("schema_migrations", "version") => Recipe::Digit { divisor: 1, count: 1_000, first: 20_230_401_090_000 },
        ("bulk_uploads", "identifier") => Recipe::Identifier,
        ("csv_downloads", "filename") => Recipe::Filename,
        ("users", "email") => Recipe::Email,
        ("users", "confirmation_token" | "encrypted_otp_secret_key" | "reset_password_token") => Recipe::Hash,
        ("local_authorities", "code") | ("la_rent_ranges" | "la_sale_ranges", "la") => Recipe::AuthorityCode(1),
        ("la_rent_ranges", "beds") => Recipe::Digit { divisor: 309, count: 5, first: 0 },
        ("la_sale_ranges", "bedrooms") => Recipe::Digit { divisor: 309, count: 5, first: 1 },
        ("la_rent_ranges", "lettype") => Recipe::Digit { divisor: 309 * 5, count: 12, first: 1 },
        ("la_rent_ranges", "start_year") => Recipe::Digit { divisor: 309 * 60, count: YEARS.0, first: YEARS.1 },
        ("la_sale_ranges", "start_year") => Recipe::Digit { divisor: 309 * 5, count: YEARS.0, first: YEARS.1 },
        ("csv_variable_definitions", "year") => Recipe::Between(2021, 2026),
        ("csv_variable_definitions" | "bulk_uploads", "log_type") => Recipe::OneOf(&["lettings", "sales"]),
        ("organisation_relationships", "child_organisation_id") => Recipe::Cycle("organisations"),
        ("organisation_relationships", "parent_organisation_id") => {
            Recipe::Lap { of: "organisations", cycle: "organisations" }
        }
        ("read_marks", "reader_id") => Recipe::Cycle("users"),
        ("read_marks", "readable_id") => Recipe::Lap { of: "notifications", cycle: "users" },
        ("read_marks", "reader_type") => Recipe::OneOf(&["User"]),
        ("read_marks", "readable_type") => Recipe::OneOf(&["Notification"]),
        ("sessions", "session_id") => Recipe::Numbered("2::"),
        _ => return None,
    })
}

fn reference(column: &str) -> Option<Recipe> {
    Some(Recipe::Reference(match column {
        "owning_organisation_id"
        | "managing_organisation_id"
        | "organisation_id"
        | "absorbing_organisation_id"
        | "requesting_organisation_id"
        | "merging_organisation_id" => "organisations",
        "user_id"
        | "assigned_to_id"
        | "updated_by_id"
        | "created_by_id"
        | "requester_id"
        | "data_protection_officer_id" => "users",
        "scheme_id" => "schemes",
        "location_id" => "locations",
        "bulk_upload_id" => "bulk_uploads",
        "local_authority_id" | "linked_local_authority_id" => "local_authorities",
        "log_id" | "item_id" => "lettings_logs",
        "merge_request_id" => "merge_requests",
        _ => return None,
    }))
}

fn by_name(column: &Column) -> Option<Recipe> {
    let name = column.name;
    if column.kind != Type::Text {
        return Some(match name {
            "created_at" => Recipe::Created,
            "updated_at" | "values_updated_at" => Recipe::Updated,
            "status" | "status_cache" => Recipe::Between(0, 4),
            "soft_min" => Recipe::Range(0),
            "soft_max" => Recipe::Range(100),
            "hard_min" => Recipe::Range(10),
            "hard_max" => Recipe::Range(500),
            "hhmemb" => Recipe::Between(1, 8),
            "year" => Recipe::Between(2021, 2025),
            _ if name.starts_with("age") && !name.contains('_') => Recipe::Between(0, 110),
            _ if name.starts_with("income") || name == "earnings" || name == "savings" => Recipe::Between(0, 99_999),
            _ => return None,
        });
    }
    Some(match name {
        "old_id" => Recipe::Numbered("old-"),
        "old_visible_id" => Recipe::Numbered("V"),
        "old_user_id" => Recipe::Numbered("u"),
        "object" => Recipe::Document,
        "object_changes" => Recipe::Changes,
        "page_content" | "description" | "error" | "other_merging_organisations" | "definition" => Recipe::Prose,
        "item_type" => Recipe::OneOf(&["LettingsLog", "SalesLog", "User", "Organisation", "Scheme", "Location"]),
        "event" => Recipe::OneOf(&["create", "update", "update", "update", "destroy"]),
        "encrypted_password" => Recipe::Hash,
        "mobility_type" => Recipe::OneOf(&["A", "M", "N", "W", "X"]),
        "current_sign_in_ip" | "last_sign_in_ip" => Recipe::OneOf(&["192.0.2.17", "198.51.100.4", "2001:db8::17"]),
        "phone" => Recipe::Numbered("020 7946 "),
        "town_or_city" | "county" => Recipe::Place,
        "uprn" | "uprn_selection" => Recipe::Uprn,
        "log_type" => Recipe::OneOf(&["lettings", "sales"]),
        _ if name.contains("postcode") => Recipe::Postcode,
        _ if name.contains("email") => Recipe::Email,
        _ if name.starts_with("sex") => Recipe::OneOf(&["F", "M", "X", "R"]),
        _ if name.starts_with("relat") => Recipe::OneOf(&["P", "C", "X", "R"]),
        _ if matches!(name, "la" | "prevloc" | "la_as_entered" | "location_admin_district") => Recipe::AuthorityCode(7),
        _ if name == "name" || name.ends_with("_name") => Recipe::Person,
        _ => return None,
    })
}

fn by_type(column: &Column) -> Recipe {
    match column.kind {
        Type::Integer => Recipe::Answer,
        Type::Bigint => Recipe::Between(i64::MIN, i64::MAX),
        Type::Text => Recipe::Phrase,
        Type::Numeric => Recipe::Unbounded,
        Type::Money => Recipe::Money,
        Type::Boolean => Recipe::Boolean,
        Type::Timestamp => Recipe::Timestamp,
        Type::Date => Recipe::Date,
        Type::Uuid => Recipe::Identifier,
        Type::Json => Recipe::Json,
    }
}

/// `age3`, `sex3`, `details_known_3`, `age3_known` and their like speak of person 3.
fn person(column: &str) -> u8 {
    let stem = column.strip_suffix("_known").unwrap_or(column);
    let about_person = ["age", "sex", "ecstat", "relat", "details_known_", "gender_"];
    if !about_person.iter().any(|start| stem.starts_with(start)) {
        return 0;
    }
    let digits = stem.trim_start_matches(|character: char| !character.is_ascii_digit());
    digits.parse().ok().filter(|number| (1..=8).contains(number)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_from_the_columns_name() {
        assert_eq!(person("age3"), 3);
        assert_eq!(person("age8_known"), 8);
        assert_eq!(person("details_known_2"), 2);
        assert_eq!(person("gender_same_as_sex6"), 6);
        assert_eq!(person("illness_type_1"), 0);
        assert_eq!(person("status"), 0);
    }
}
