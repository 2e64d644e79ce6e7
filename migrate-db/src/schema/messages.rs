//! What pg_dump and pg_restore say, sorted into harmless and not. Pure text.
//!
//! Commands are never shown: a definition may hold a password (user mappings).

use super::contents;
use crate::catalog::RelationName;
use crate::error::Error;

/// An entry that pg_restore could not restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The entry of the dump, for example `TRIGGER public.users audit`; `the schema` where none is named.
    pub entry: String,
    /// What the server said.
    pub message: String,
}

impl Complaint {
    /// Whether it says that rows violate this foreign key of that table.
    pub(crate) fn is_of_violated_key(&self, table: &RelationName, key: &str) -> bool {
        self.entry == format!("FK CONSTRAINT {}.{} {key}", table.schema, table.name)
            && self.message.contains("violates foreign key constraint")
    }

    /// Whether it says that another session was quicker to take a name, perhaps for something else.
    pub(super) fn is_of_collision(&self) -> bool {
        self.message.contains(COLLISION)
    }
}

/// Two sessions took the same name at the same time, for an array type perhaps, whose names are cut: one of them made nothing.
const COLLISION: &str = "duplicate key value violates unique constraint \"pg_";
/// Messages that mean no harm, and why.
const HARMLESS: [&str; 3] = [
    // Every database has one.
    "schema \"public\" already exists",
    // Settings of the session that a newer client makes and an older server does not know; none changes content.
    "unrecognized configuration parameter",
    // Extensions belong to the provider on managed servers; only their comments and the like meet this.
    "must be owner of extension",
];
/// Messages that mean no harm when the same section was restored before, at least in part: ways to say that something is
/// there. Unique constraints of the system's own catalogs say so where the server has not looked before (text search
/// configurations), or where two sessions make the same thing.
const HARMLESS_AGAIN: [&str; 5] = [
    "already exists",
    "multiple primary keys",
    "is already a partition",
    "is already member of publication",
    COLLISION,
];
/// Signs of a broken connection.
const BROKEN: [&str; 5] = [
    "connection to server",
    "server closed the connection",
    "could not connect",
    "terminating connection",
    "SSL SYSCALL",
];

/// What pg_restore said.
#[derive(Debug, Default)]
pub struct Complaints {
    /// What could not be restored.
    pub standing: Vec<Complaint>,
    /// What means no harm.
    pub harmless: Vec<Complaint>,
}

/// Judges what pg_restore said of the dump with these `contents`; `again` where the same section may have been restored before.
pub(super) fn judge(stderr: &str, contents: &str, again: bool) -> Complaints {
    let mut entry = String::from("the schema");
    let mut complaints = Vec::new();
    for line in stderr.lines() {
        if let Some(toc) = line.strip_prefix("pg_restore: from TOC entry ") {
            let described = contents::with_schema(contents, toc);
            // The last word is the owner, which may be empty.
            entry = described.rsplit_once(' ').map_or(described.as_str(), |(object, _)| object).into();
        } else if let Some(error) = line.strip_prefix("pg_restore: error: ") {
            let message = error.strip_prefix("could not execute query: ").unwrap_or(error);
            complaints.push(Complaint { entry: entry.clone(), message: message.replace("ERROR:  ", "") });
        }
    }
    let harmful = |complaint: &Complaint| {
        let says = |text: &&str| complaint.message.contains(text);
        !(HARMLESS.iter().any(&says) || again && HARMLESS_AGAIN.iter().any(says))
    };
    let (standing, harmless) = complaints.into_iter().partition(harmful);
    Complaints { standing, harmless }
}

/// Whether the tool gave up, rather than count errors and go on.
pub(super) fn is_fatal(stderr: &str) -> bool {
    !stderr.contains("errors ignored on restore")
}

/// The error of a tool that gave up.
pub(super) fn failure(tool: &'static str, action: &'static str, stderr: &str) -> Error {
    let message = stderr
        .lines()
        .filter_map(|line| line.strip_prefix(tool)?.strip_prefix(": "))
        .find_map(|line| line.strip_prefix("error: "))
        .or_else(|| stderr.lines().find(|line| !line.is_empty()))
        .unwrap_or("it said nothing");
    let transient = BROKEN.iter().any(|sign| stderr.contains(sign));
    Error::Tool { tool, action, message: message.into(), transient }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STDERR: &str = "pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 5; 2615 2200 SCHEMA public postgres
pg_restore: error: could not execute query: ERROR:  schema \"public\" already exists
Command was: CREATE SCHEMA public;


pg_restore: from TOC entry 210; 1417 16500 USER MAPPING - USER MAPPING app SERVER s postgres
pg_restore: error: could not execute query: ERROR:  role \"app\" does not exist
Command was: CREATE USER MAPPING FOR app SERVER s OPTIONS (password 'hunter2');

pg_restore: from TOC entry 211; 1259 16501 TABLE t postgres
pg_restore: error: could not execute query: ERROR:  relation \"t\" already exists
Command was: CREATE TABLE public.t ();

pg_restore: warning: errors ignored on restore: 3
";

    const CONTENTS: &str = ";\n5; 2615 2200 SCHEMA - public postgres\n211; 1259 16501 TABLE public t postgres\n";

    #[test]
    fn harmless_messages_are_told_from_others() {
        let Complaints { standing, harmless } = judge(STDERR, CONTENTS, true);
        assert_eq!(standing.len(), 1);
        assert_eq!(standing[0].entry, "USER MAPPING - USER MAPPING app SERVER s");
        assert_eq!(standing[0].message, "role \"app\" does not exist");
        assert_eq!(
            harmless.iter().map(|one| one.entry.as_str()).collect::<Vec<_>>(),
            ["SCHEMA public", "TABLE public.t"]
        );
        assert_eq!(judge(STDERR, CONTENTS, false).standing.len(), 2);
        assert!(!is_fatal(STDERR));
    }

    #[test]
    fn commands_are_never_shown() {
        assert!(!format!("{:?}", judge(STDERR, CONTENTS, false)).contains("hunter2"));
    }

    #[test]
    fn a_broken_connection_is_transient() {
        let error =
            failure("pg_dump", "dump the schema", "pg_dump: error: connection to server at \"h\" failed: refused\n");
        assert!(matches!(error, Error::Tool { transient: true, .. }));
        assert!(error.to_string().contains("connection to server at \"h\" failed"), "{error}");
    }
}
