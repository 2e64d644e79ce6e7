//! Which types travel in binary form: a list of what is known to be safe, and text for everything else.
//!
//! Safe means that the bytes one server sends are the bytes that the other accepts and sends again, for majors 10 to
//! 18. What embeds object identifiers (composites, arrays of user types, `regclass` and its kin) arrives as garbage
//! without an error; what extensions define may change between their versions. Pure: no I/O.

use std::collections::HashMap;

/// Built-in types whose binary form is the same on all supported majors.
const SAFE: [&str; 38] = [
    "bool",
    "bytea",
    "char",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "varchar",
    "bpchar",
    "name",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "xml",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "bit",
    "varbit",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "txid_snapshot",
    "pg_lsn",
];
/// Built-in ranges of safe types: their binary form is flags and bounds, no object identifiers.
const SAFE_RANGES: [&str; 6] = ["int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"];

/// `typtype` and what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeFamily {
    /// A base type.
    Base,
    /// An array of the type with this object identifier.
    Array(u32),
    /// A domain over the type with this object identifier.
    Domain(u32),
    /// An enum.
    Enum,
    /// A range or multirange.
    Range,
    /// A row type or anything else.
    Other,
}

/// One row of `pg_type`, as far as copying needs it.
#[derive(Debug, Clone)]
pub struct TypeEntry {
    /// Whether it lives in `pg_catalog`.
    pub built_in: bool,
    /// `typname`.
    pub name: String,
    /// What it is made of.
    pub family: TypeFamily,
}

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// As SQL writes it, for example `character varying(20)`.
    pub name: String,
    /// Why it cannot travel in binary form; `None` when it can.
    pub text_reason: Option<String>,
    /// The floats in its text form: before PostgreSQL 12 that text was not the shortest exact one.
    pub floats: Floats,
    /// Nanoseconds that a value costs the servers as text, less those that it costs in binary form.
    pub text_cost: i32,
}

/// Which floats the text form of a type consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    /// None that are known of.
    None,
    /// `real`.
    Single,
    /// `double precision`, or what is made of it.
    Double,
}

/// All types of a server by object identifier.
#[derive(Debug, Clone, Default)]
pub struct TypeTable(pub HashMap<u32, TypeEntry>);

impl TypeTable {
    /// Judges the type `oid`, which SQL calls `name`.
    pub fn column_type(&self, oid: u32, name: &str) -> ColumnType {
        let text_reason = if self.is_binary_safe(oid, 0) {
            None
        } else {
            Some(format!("type {name} is not known to have the same binary form on both servers"))
        };
        ColumnType { name: name.into(), text_reason, floats: self.floats(oid, 0), text_cost: self.text_cost(oid, 0) }
    }

    /// Two sends and one receipt of a value as text, less the same in binary form, in nanoseconds of one core: PostgreSQL 18,
    /// COPY of 2,000,000 values of each type. What is not listed is dearer as text, or rare.
    ///
    /// Numbers are taken to be small, as codes, flags and counts are, and strings to be of the twenty characters where it is all
    /// the same: how long they are is not asked, since the form of a table must not change while a migration is under way.
    fn text_cost(&self, oid: u32, depth: usize) -> i32 {
        const DEARER: i32 = 250;
        // No table is wide enough to be cheaper with it.
        const NEVER: i32 = 1_000_000;
        let Some(entry) = self.0.get(&oid).filter(|_| depth < 16) else { return DEARER };
        match entry.family {
            TypeFamily::Domain(base) => self.text_cost(base, depth + 1),
            TypeFamily::Array(element) => self.text_cost(element, depth + 1).max(DEARER),
            TypeFamily::Enum => -40,
            TypeFamily::Base if entry.built_in => match entry.name.as_str() {
                "bool" | "int2" | "int4" | "int8" => -25,
                "numeric" | "bpchar" => -30,
                "varchar" => 0,
                // Old servers write bytes above 127 as they are, which is no text in any encoding; newer ones as `\200`.
                "char" => NEVER,
                "text" | "name" | "float4" | "float8" => 100,
                "date" | "time" => 160,
                _ => DEARER,
            },
            _ => DEARER,
        }
    }

    fn is_binary_safe(&self, oid: u32, depth: usize) -> bool {
        // Domains over domains end somewhere; the bound only guards against a damaged catalog.
        let Some(entry) = self.0.get(&oid).filter(|_| depth < 16) else { return false };
        match entry.family {
            TypeFamily::Base => entry.built_in && SAFE.contains(&entry.name.as_str()),
            TypeFamily::Range => entry.built_in && SAFE_RANGES.contains(&entry.name.as_str()),
            // An enum's value travels as its label.
            TypeFamily::Enum => true,
            TypeFamily::Domain(base) => self.is_binary_safe(base, depth + 1),
            // The element's object identifier is part of the binary form: only those of built-in types are fixed.
            TypeFamily::Array(element) => {
                self.0.get(&element).is_some_and(|entry| entry.built_in) && self.is_binary_safe(element, depth + 1)
            }
            TypeFamily::Other => false,
        }
    }

    fn floats(&self, oid: u32, depth: usize) -> Floats {
        let Some(entry) = self.0.get(&oid).filter(|_| depth < 16) else { return Floats::None };
        match entry.family {
            TypeFamily::Domain(inner) | TypeFamily::Array(inner) => self.floats(inner, depth + 1),
            TypeFamily::Base if !entry.built_in => Floats::None,
            _ => match entry.name.as_str() {
                "float4" => Floats::Single,
                "float8" | "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" => Floats::Double,
                _ => Floats::None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TypeTable {
        let entry = |built_in, name: &str, family| TypeEntry { built_in, name: name.into(), family };
        TypeTable(HashMap::from([
            (1, entry(true, "int4", TypeFamily::Base)),
            (2, entry(true, "_int4", TypeFamily::Array(1))),
            (3, entry(false, "mood", TypeFamily::Enum)),
            (4, entry(false, "_mood", TypeFamily::Array(3))),
            (5, entry(false, "positive", TypeFamily::Domain(1))),
            (6, entry(false, "citext", TypeFamily::Base)),
            (7, entry(true, "regclass", TypeFamily::Base)),
            (8, entry(false, "pair", TypeFamily::Other)),
            (9, entry(true, "float8", TypeFamily::Base)),
            (10, entry(true, "int4range", TypeFamily::Range)),
            (11, entry(false, "loop", TypeFamily::Domain(11))),
            (12, entry(false, "_positive", TypeFamily::Array(5))),
        ]))
    }

    #[test]
    fn only_what_is_known_to_be_safe_travels_in_binary_form() {
        let safe: Vec<u32> = (1..=13).filter(|oid| table().column_type(*oid, "t").text_reason.is_none()).collect();
        assert_eq!(safe, [1, 2, 3, 5, 9, 10]);
    }

    #[test]
    fn small_numbers_are_cheaper_as_text() {
        let cost = |oid| table().column_type(oid, "t").text_cost;
        assert!(cost(1) < 0 && cost(3) < 0 && cost(5) < 0, "integers, enums, domains over them");
        assert!((6..=12).all(|oid| cost(oid) > 0), "and nothing else here, a type that is its own base included");
    }

    #[test]
    fn bytes_that_are_no_text_never_travel_as_such_to_save_time() {
        let entry = |family| TypeEntry { built_in: true, name: "char".into(), family };
        let types = TypeTable(HashMap::from([
            (1, entry(TypeFamily::Base)),
            (2, entry(TypeFamily::Domain(1))),
            (3, entry(TypeFamily::Array(2))),
        ]));
        // 1,600 columns are the most that a table has, and an enum saves most.
        assert!((1..=3).all(|oid| types.column_type(oid, "t").text_cost > 1600 * 40));
    }

    #[test]
    fn floats_are_found() {
        assert_eq!(table().column_type(9, "float8").floats, Floats::Double);
        assert_eq!(table().column_type(1, "int4").floats, Floats::None);
    }
}
