//! The estate's tables, read from the SQL files beside this one: those files are the only place that names a column.
//!
//! Knows nothing about values. The generator asks it which columns a table has and of which type.

/// What creates the tables, in order.
pub(super) const TABLES: [&str; 3] = [
    include_str!("schema/tables.sql"),
    include_str!("schema/lettings_logs.sql"),
    include_str!("schema/sales_logs.sql"),
];
/// Keys, indexes, checks and foreign keys; run when the rows are there.
pub(super) const CONSTRAINTS: &str = include_str!("schema/constraints.sql");
/// Extensions, view, function, trigger, free sequence, comments; run last.
pub(super) const EXTRAS: &str = include_str!("schema/extras.sql");

/// A column's type, as far as the generator tells types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `integer`
    Integer,
    /// `bigint`, also when it is a `bigserial`
    Bigint,
    /// `character varying` and `text`
    Text,
    /// `numeric` without bounds: takes NaN and thousands of digits
    Numeric,
    /// `numeric(10,2)`
    Money,
    /// `boolean`
    Boolean,
    /// `timestamp(6) without time zone`
    Timestamp,
    /// `date`
    Date,
    /// `uuid`
    Uuid,
    /// `jsonb`
    Json,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name, without quotes.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Whether it takes no NULL.
    pub required: bool,
    /// Whether it is a `bigserial`, so that a sequence belongs to it.
    pub serial: bool,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name; all tables are in the schema `public`.
    pub name: &'static str,
    /// Its columns in their order.
    pub columns: Vec<Column>,
}

/// All 32 tables in the order in which they are created: the service's 30, `schema_migrations` and
/// `ar_internal_metadata`.
///
/// # Panics
/// When a line of the SQL files is not one column: that is a mistake in this repository.
pub(super) fn tables() -> Vec<Table> {
    TABLES.iter().flat_map(|sql| sql.split("CREATE TABLE ").skip(1)).map(parse_table).collect()
}

fn parse_table(sql: &'static str) -> Table {
    let (name, rest) = sql.split_once(" (\n").expect("a table opens with its name and ` (`");
    let (body, _) = rest.split_once("\n);").expect("a table closes with `);`");
    Table { name, columns: body.lines().map(parse_column).collect() }
}

fn parse_column(line: &'static str) -> Column {
    let line = line.trim().trim_end_matches(',');
    let (name, rest) = line.split_once(' ').expect("a column has a name and a type");
    let kind = match rest {
        _ if rest.starts_with("integer") => Type::Integer,
        _ if rest.starts_with("big") => Type::Bigint,
        _ if rest.starts_with("character varying") || rest.starts_with("text") => Type::Text,
        _ if rest.starts_with("numeric(10,2)") => Type::Money,
        _ if rest.starts_with("numeric") => Type::Numeric,
        _ if rest.starts_with("boolean") => Type::Boolean,
        _ if rest.starts_with("timestamp(6)") => Type::Timestamp,
        _ if rest.starts_with("date") => Type::Date,
        _ if rest.starts_with("uuid") => Type::Uuid,
        _ if rest.starts_with("jsonb") => Type::Json,
        _ => panic!("the estate's schema has a column of a type that the generator does not know: {line}"),
    };
    Column {
        name: name.trim_matches('"'),
        kind,
        required: rest.contains("NOT NULL"),
        serial: rest.starts_with("bigserial"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(table: &Table, wanted: &[Type]) -> usize {
        table.columns.iter().filter(|column| wanted.contains(&column.kind)).count()
    }

    #[test]
    fn the_tables_are_those_of_the_service() {
        let tables = tables();
        let column_count = |name: &str| tables.iter().find(|table| table.name == name).unwrap().columns.len();

        assert_eq!(tables.len(), 32);
        assert_eq!(column_count("lettings_logs"), 253);
        assert_eq!(column_count("sales_logs"), 227);
        assert_eq!(column_count("users"), 40);
        assert_eq!(column_count("organisations"), 36);
    }

    #[test]
    fn the_widest_tables_have_their_real_mix_of_types() {
        let tables = tables();
        let lettings = tables.iter().find(|table| table.name == "lettings_logs").unwrap();
        let sales = tables.iter().find(|table| table.name == "sales_logs").unwrap();

        assert_eq!(count(lettings, &[Type::Integer]), 162);
        assert_eq!(count(lettings, &[Type::Text]), 58);
        assert_eq!(count(lettings, &[Type::Numeric, Type::Money]), 14);
        assert_eq!(count(lettings, &[Type::Bigint]), 8);
        assert_eq!(count(lettings, &[Type::Timestamp]), 7);
        assert_eq!(count(lettings, &[Type::Boolean]), 4);
        assert_eq!(count(sales, &[Type::Integer]), 146);
        assert_eq!(count(sales, &[Type::Text]), 49);
        assert_eq!(count(sales, &[Type::Numeric, Type::Money]), 14);
    }

    #[test]
    fn the_indexes_are_as_many_as_the_service_has() {
        let index_count = |table: &str| {
            let sql = CONSTRAINTS.replace('\n', " ");
            sql.split(';')
                .map(str::trim)
                .filter(|statement| {
                    let index = statement.contains("INDEX") && statement.contains(&format!(" ON {table} "));
                    let key = statement.contains("PRIMARY KEY") && statement.contains(&format!(" {table} ADD"));
                    index || key
                })
                .count()
        };

        assert_eq!(index_count("lettings_logs"), 11);
        assert_eq!(index_count("sales_logs"), 9);
        assert_eq!(index_count("users"), 6);
    }
}
