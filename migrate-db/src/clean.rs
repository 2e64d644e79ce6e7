//! `--clean --confirm DATABASE`: empties the target. The only place of this program that drops what it did not make.

use crate::connect::Session;
use crate::error::Result;
use crate::large_object;

/// Drops every schema of users, with everything in it, and gives `public` back; then event triggers and the like, which
/// live in no schema.
pub async fn empty_target(session: &Session) -> Result<()> {
    let lists = [
        ("SELECT format('DROP EVENT TRIGGER %I', evtname) FROM pg_event_trigger", "event trigger"),
        ("SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication", "publication"),
        (
            "SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
             WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'",
            "schema",
        ),
    ];
    for (list, what) in lists {
        let action = format!("drop a {what}");
        for row in session.query(&format!("list what is to be dropped ({what})"), list, &[]).await? {
            session.execute(&action, row.get(0)).await?;
        }
    }
    large_object::remove_all(session).await?;
    let public = "CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC";
    session.execute("create the schema public again", public).await
}
