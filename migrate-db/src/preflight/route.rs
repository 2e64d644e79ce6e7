//! Whether the way to a server leads to one server, and whether a session is a session: poolers and load balancers.
//!
//! A pooler that gives out its server connections by the transaction would mix the settings of our sessions, and a load
//! balancer would give each reader another server. Both make a copy wrong without a word, so this comes before anything else.

use common::report::Check;
use tokio_postgres::SimpleQueryMessage;

use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Result, Side};
use crate::sql;

/// How many connections are opened after the first two, to see where they lead.
const FURTHER_CONNECTIONS: usize = 2;

/// Looks whether two sessions with `endpoint` are two, and both with the same server.
///
/// Asks without prepared statements: behind such poolers these fail in ways that say nothing.
pub(super) async fn leads_to_one_server(endpoint: &Endpoint, side: Side) -> Result<Check> {
    let name = format!("way to the {side}");
    let (one, other) = tokio::try_join!(Session::open(endpoint, side), Session::open(endpoint, side))?;
    let mark = uuid::Uuid::new_v4().to_string();
    let set = format!("SELECT set_config('migrate_db.mark', {}, false)", sql::literal(&mark));
    let read = "SELECT current_setting('migrate_db.mark', true)";
    answer(&one, "mark a session", &set).await?;
    // The server connection that was used last is the one that such a pooler gives out next.
    let on_other = answer(&other, "look for another session's mark", read).await?;
    let on_one = answer(&one, "look for the session's mark", read).await?;
    if on_other.as_deref() == Some(&mark) || on_one.as_deref() != Some(&mark) {
        return Ok(Check::fail(
            name,
            format!("{} is a pooler that shares its connections between transactions", endpoint.label()),
            "name the server itself (its own host and port), or a pooler in session mode",
        ));
    }
    // A load balancer may give two connections to the same server by chance.
    let mut other = other;
    for further in 0.. {
        if !sees(&one, &other).await? {
            return Ok(Check::fail(
                name,
                format!("two connections to {} reach two different servers", endpoint.label()),
                "name one server: the primary's own endpoint, not a load balancer or a reader endpoint",
            ));
        }
        if further == FURTHER_CONNECTIONS {
            break;
        }
        // The old one is closed first: never more of them than there will be later.
        drop(other);
        other = Session::open(endpoint, side).await?;
    }
    Ok(Check::pass(name, "all connections reach one server, each with a session of its own"))
}

/// Whether `other` is a session of the server that `one` is a session of.
async fn sees(one: &Session, other: &Session) -> Result<bool> {
    let who = "SELECT pid || ' of ' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let it = answer(other, "identify a session", who).await?.unwrap_or_default();
    let count =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid || ' of ' || backend_start = {}", sql::literal(&it));
    Ok(answer(one, "look for the other session", &count).await?.as_deref() == Some("1"))
}

/// The first value of the first row.
async fn answer(session: &Session, action: &str, statement: &str) -> Result<Option<String>> {
    let messages = session.simple_query(statement).await.map_err(|error| session.failed(action, error))?;
    let value = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(value.map(str::to_owned))
}
