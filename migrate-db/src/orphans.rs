//! The rows that violate a foreign key: how many, and on request which. Called by `index`, when a key cannot be validated or made.

use common::units;
use tokio_postgres::types::{FromSql, Type};

use crate::catalog::ForeignKey;
use crate::connect::Session;
use crate::error::Result;
use crate::sql;

/// Values shown in one sentence.
const SHOWN_MAX: usize = 5;

/// Says how many rows of the target, which `session` is with, violate `key`, for example `2 rows refer to no row of
/// public.parents`; with `show_keys` also which values they refer by. `holder` is a session with a database that has the key.
pub(crate) async fn describe(session: &Session, holder: &Session, key: &ForeignKey, show_keys: bool) -> Result<String> {
    let Some(parts) = Parts::read(holder, key).await? else {
        return Ok("rows violate it".into());
    };
    let action = "count the rows that violate a foreign key";
    let count: i64 = session.value(action, &format!("SELECT count(*) {}", parts.orphans()), &[]).await?;
    let rows = units::counted(count.unsigned_abs(), "row");
    let verb = if count == 1 { "refers" } else { "refer" };
    let shown = if show_keys { shown(session, &parts).await? } else { String::new() };
    Ok(format!("{rows} {verb} to no row of {}{shown}", parts.parent))
}

async fn shown(session: &Session, parts: &Parts) -> Result<String> {
    let values: Vec<String> =
        parts.columns.iter().map(|column| format!("c.{}::text", sql::identifier(column))).collect();
    let statement =
        format!("SELECT DISTINCT ARRAY[{}] {} ORDER BY 1 LIMIT {SHOWN_MAX}", values.join(", "), parts.orphans());
    let rows = session.query("read the keys that violate a foreign key", &statement, &[]).await?;
    let show = |values: Vec<Option<Shown>>| {
        let pairs = parts.columns.iter().zip(values);
        let pairs: Vec<String> = pairs
            .map(|(column, value)| {
                format!("{column}={}", value.map_or_else(|| "NULL".into(), |Shown(value)| units::one_line(&value)))
            })
            .collect();
        pairs.join(" ")
    };
    let keys: Vec<String> = rows.iter().map(|row| show(row.get(0))).collect();
    Ok(format!(": {}", keys.join(", ")))
}

/// A value to be shown: of a database without an encoding it may be no text.
struct Shown(String);

impl<'a> FromSql<'a> for Shown {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(ty: &Type) -> bool {
        <String as FromSql>::accepts(ty)
    }
}

/// A foreign key taken apart.
struct Parts {
    child: String,
    parent: String,
    columns: Vec<String>,
    referred: Vec<String>,
    /// What compares a column referred to with the one that refers: extensions bring their own.
    operators: Vec<String>,
    /// `ONLY ` where rows of tables that inherit neither refer nor can be referred to; empty for a partitioned table.
    child_only: String,
    parent_only: String,
    /// `MATCH FULL`: a key that is NULL in part violates too.
    full: bool,
}

impl Parts {
    async fn read(session: &Session, key: &ForeignKey) -> Result<Option<Self>> {
        let statement = "SELECT k.conrelid::regclass::text, k.confrelid::regclass::text, k.confmatchtype = 'f',
                ARRAY(SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                      FROM unnest(k.conpfeqop) WITH ORDINALITY AS u (number, place) JOIN pg_operator o ON o.oid = u.number
                      JOIN pg_namespace n ON n.oid = o.oprnamespace ORDER BY u.place),
                CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, CASE p.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END,
                ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
                      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
                ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place)
                      JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
            WHERE k.contype = 'f' AND k.conrelid = to_regclass($1) AND k.conname = $2
              AND coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'false'";
        let rows = session.query("read a foreign key", statement, &[&key.table.sql(), &key.name]).await?;
        Ok(rows.first().map(|row| Self {
            child: row.get(0),
            parent: row.get(1),
            full: row.get(2),
            operators: row.get(3),
            child_only: row.get(4),
            parent_only: row.get(5),
            columns: row.get(6),
            referred: row.get(7),
        }))
    }

    /// `FROM … WHERE …` of the rows that violate it.
    fn orphans(&self) -> String {
        let column = |alias: &str, name: &String| format!("{alias}.{}", sql::identifier(name));
        let each = |suffix: &str, between: &str| {
            let tests: Vec<String> = self.columns.iter().map(|name| format!("{}{suffix}", column("c", name))).collect();
            tests.join(between)
        };
        let pairs = self.columns.iter().zip(&self.referred).zip(&self.operators);
        let same: Vec<String> = pairs
            .map(|((own, other), operator)| format!("{} {operator} {}", column("p", other), column("c", own)))
            .collect();
        let all_given = each(" IS NOT NULL", " AND ");
        let parents = format!("{}{}", self.parent_only, self.parent);
        let missing = format!("{all_given} AND NOT EXISTS (SELECT FROM {parents} p WHERE {})", same.join(" AND "));
        let partly = if self.full {
            format!(" OR (({}) AND ({}))", each(" IS NULL", " OR "), each(" IS NOT NULL", " OR "))
        } else {
            String::new()
        };
        format!("FROM {}{} c WHERE ({missing}){partly}", self.child_only, self.child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_refer_to_nothing_are_asked_for() {
        let mut parts = Parts {
            child: "public.c".into(),
            parent: "public.p".into(),
            columns: vec!["a".into(), "b".into()],
            referred: vec!["x".into(), "y".into()],
            operators: vec!["OPERATOR(pg_catalog.=)".into(), "OPERATOR(public.=)".into()],
            child_only: "ONLY ".into(),
            parent_only: String::new(),
            full: false,
        };
        let missing = r#"c."a" IS NOT NULL AND c."b" IS NOT NULL AND NOT EXISTS (SELECT FROM public.p p WHERE p."x" OPERATOR(pg_catalog.=) c."a" AND p."y" OPERATOR(public.=) c."b")"#;
        assert_eq!(parts.orphans(), format!("FROM ONLY public.c c WHERE ({missing})"));
        parts.full = true;
        let partly = r#"((c."a" IS NULL OR c."b" IS NULL) AND (c."a" IS NOT NULL OR c."b" IS NOT NULL))"#;
        assert_eq!(parts.orphans(), format!("FROM ONLY public.c c WHERE ({missing}) OR {partly}"));
    }
}
