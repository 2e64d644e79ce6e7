//! What a finished migration leaves on the target: a comment on the database that says what was copied and proved.
//!
//! The comment takes the journal's place in one transaction, so whoever is killed at that moment, or runs the same
//! command again later, is told what is there instead of being refused. `pg_dump` does not carry it. Called by `outcome`,
//! which writes it, and by `run`, which reads it.

use tokio_postgres::error::SqlState;

use crate::connect::Session;
use crate::error::{Error, Result};
use crate::{journal, sql};

/// How our comments begin; others are nobody's business of ours.
pub(crate) const PREFIX: &str = "migrate-db: run ";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The run that was proved equal.
    pub run_id: String,
    /// The identity of its source, as in the journal.
    pub source: String,
}

/// Puts a seal in the place of the journal, when everything else about a run is done.
pub struct Sealer {
    /// A session with the target that holds the lock against other runs.
    pub session: Session,
    /// What to write.
    pub seal: Seal,
}

impl Seal {
    fn text(&self) -> String {
        format!("{PREFIX}{} copied {} and proved it equal", self.run_id, self.source)
    }

    fn parse(text: &str) -> Option<Self> {
        let (run_id, rest) = text.strip_prefix(PREFIX)?.split_once(" copied ")?;
        let (source, _) = rest.rsplit_once(" and proved it equal")?;
        Some(Self { run_id: run_id.into(), source: source.into() })
    }

    /// Reads the target's seal; `None` where there is none.
    pub async fn read(session: &Session) -> Result<Option<Self>> {
        Ok(comment(session).await?.as_deref().and_then(Self::parse))
    }
}

impl Sealer {
    /// Removes the journal and leaves the seal, both or neither. A role that does not own the database cannot comment on
    /// it, and somebody else's comment is kept: then the journal is only removed.
    pub async fn seal(&self) -> Result<()> {
        let session = &self.session;
        if comment(session).await?.is_some_and(|text| Seal::parse(&text).is_none()) {
            return journal::remove(session).await;
        }
        let statement = "SELECT quote_ident(current_database())";
        let database: String = session.value("read the database's name", statement, &[]).await?;
        let comment = sql::literal(&self.seal.text());
        let statements = format!(
            "BEGIN; DROP SCHEMA IF EXISTS {} CASCADE; COMMENT ON DATABASE {database} IS {comment}; COMMIT",
            journal::SCHEMA
        );
        match session.execute("put the seal in the journal's place", &statements).await {
            Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                session.execute("give up the seal", "ROLLBACK").await?;
                journal::remove(session).await
            }
            outcome => outcome,
        }
    }
}

/// Takes a seal off, for a target that is to be emptied.
pub(crate) async fn remove(session: &Session) -> Result<()> {
    if Seal::read(session).await?.is_none() {
        return Ok(());
    }
    let statement = "SELECT format('COMMENT ON DATABASE %I IS NULL', current_database())";
    let statement: String = session.value("name the database", statement, &[]).await?;
    session.execute("take the seal off", &statement).await
}

async fn comment(session: &Session) -> Result<Option<String>> {
    let statement = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    session.value("read the comment on the target database", statement, &[]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let seal = Seal { run_id: "01a1".into(), source: "7301/odd and proved it equal name".into() };
        assert_eq!(Seal::parse(&seal.text()), Some(seal));
        assert_eq!(Seal::parse("the production database"), None);
    }
}
