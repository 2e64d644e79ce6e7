//! The statements of a repair: rows named by the text of their keys. Pure.

use crate::catalog::{Column, RelationName, Table};
use crate::segment::{self, Format};
use crate::sql;

/// The condition that a row has one of `keys`, each as many values as there are columns.
fn has_key(columns: &[&Column], keys: &[&[String]]) -> String {
    let names = sql::identifiers(columns.iter().map(|column| column.name.as_str()));
    let row = |key: &&[String]| {
        let typed = key.iter().zip(columns);
        let values: Vec<String> =
            typed.map(|(value, column)| format!("{}::{}", sql::literal(value), column.column_type.name)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = keys.iter().map(row).collect();
    format!("({names}) IN (VALUES {})", rows.join(", "))
}

/// Removes the rows with these keys.
pub(super) fn delete(table: &Table, columns: &[&Column], keys: &[&[String]]) -> String {
    format!("DELETE FROM {} WHERE {}", table.rows_sql(), has_key(columns, keys))
}

/// Reads the rows of `table` with these keys, as far as `holder` has them.
pub(super) fn copy_out(
    table: &Table,
    holder: &RelationName,
    columns: &[&Column],
    keys: &[&[String]],
    format: Format,
) -> String {
    let copied = segment::column_list(table);
    format!(
        "COPY (SELECT {copied} FROM ONLY {} WHERE {}) TO STDOUT (FORMAT {})",
        holder.sql(),
        has_key(columns, keys),
        format.word()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnType;
    use crate::catalog::types::Floats;

    #[test]
    fn keys_are_typed_literals() {
        let column = |name: &str, type_name: &str| Column {
            name: name.into(),
            column_type: ColumnType { name: type_name.into(), text_reason: None, floats: Floats::None, text_cost: 0 },
        };
        let (id, part) = (column("id", "bigint"), column("Part", "text"));
        let name = RelationName { schema: "public".into(), name: "t".into() };
        let table = Table { name, columns: vec![id.clone(), part.clone()], ..Table::default() };
        let keys = [vec!["7".to_owned(), "it's".to_owned()], vec!["8".to_owned(), String::new()]];
        let keys: Vec<&[String]> = keys.iter().map(Vec::as_slice).collect();
        assert_eq!(
            delete(&table, &[&id, &part], &keys),
            r#"DELETE FROM ONLY "public"."t" WHERE ("id", "Part") IN (VALUES ('7'::bigint, 'it''s'::text), ('8'::bigint, ''::text))"#
        );
    }
}
