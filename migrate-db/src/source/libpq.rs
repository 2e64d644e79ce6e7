//! The `PG*` variables of libpq, as `cf conduit` sets them for its child. They speak of the source only.

use common::settings::{SettingError, Variables};

use crate::endpoint::{Endpoint, Parts};

/// The endpoint that the variables describe; `None` when not even a host is given.
pub(super) fn endpoint(variables: &Variables) -> Result<Option<Endpoint>, SettingError> {
    let get = |name: &str| variables.get(name).map(|value| value.map(str::to_owned));
    let (host, hostaddr) = (get("PGHOST")?, get("PGHOSTADDR")?);
    if host.is_none() && hostaddr.is_none() {
        return Ok(None);
    }
    let parts = Parts {
        host,
        hostaddr,
        port: get("PGPORT")?,
        user: get("PGUSER")?,
        password: variables.secret("PGPASSWORD")?,
        database: get("PGDATABASE")?,
        sslmode: get("PGSSLMODE")?,
        sslrootcert: get("PGSSLROOTCERT")?,
        connect_timeout: get("PGCONNECT_TIMEOUT")?,
        options: get("PGOPTIONS")?,
    };
    parts.build("PGHOST, PGUSER, PGDATABASE and the like").map(Some)
}
