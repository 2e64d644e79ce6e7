//! Owners and privileges: left behind unless asked for, as the roles of a platform mean nothing elsewhere.
//!
//! Asked for, they travel by `pg_dump` and `pg_restore`; what they name must exist on the target. Called by `run`,
//! `schema`, `large_object` and `compare`.

use common::report::Check;

use crate::catalog::user_schema;
use crate::connect::Session;
use crate::error::Result;
use crate::sql;

/// The check's name.
const NAME: &str = "roles";

/// What of them travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// Objects keep their owners; otherwise they belong to the role that connects.
    pub owner: bool,
    /// Privileges are granted again, default privileges included.
    pub acl: bool,
}

impl Rights {
    /// The options of `pg_dump` and `pg_restore`.
    pub fn arguments(self) -> Vec<String> {
        let owner = (!self.owner).then(|| "--no-owner".to_owned());
        owner.into_iter().chain((!self.acl).then(|| "--no-acl".to_owned())).collect()
    }

    /// Whether nothing travels.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Objects of users with owner and privileges: `owner` (oid), `acl` (with the defaults filled in).
fn objects() -> String {
    let user = user_schema();
    format!(
        "SELECT c.relowner AS owner, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner)) AS acl
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND {user}
         UNION ALL
         SELECT p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {user}
         UNION ALL
         SELECT n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n
         WHERE n.nspname <> 'public' AND {user}
         UNION ALL
         SELECT d.defaclrole, d.defaclacl FROM pg_default_acl d
         UNION ALL
         SELECT l.lomowner, coalesce(l.lomacl, acldefault('L', l.lomowner)) FROM pg_largeobject_metadata l"
    )
}

/// Every role that is to own something or may do something exists on the target.
pub(crate) async fn roles(source: &Session, target: &Session, rights: Rights) -> Result<Check> {
    if rights.is_none() {
        return roles_of_policies(source, target).await;
    }
    let statement = format!(
        "SELECT DISTINCT r.rolname::text FROM ({}) AS o
         JOIN pg_roles r ON ($1 AND r.oid = o.owner)
              OR ($2 AND r.oid IN (SELECT a.grantee FROM aclexplode(o.acl) a)) ORDER BY 1",
        objects()
    );
    let rows = source.query("list the roles that own or may", &statement, &[&rights.owner, &rights.acl]).await?;
    let named: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing = missing_roles(target, &named).await?;
    if missing.is_empty() {
        return Ok(Check::pass(NAME, format!("all {} are there on the target", named.len())));
    }
    let fix = format!("on the target: {}; or leave out --with-owner and --with-acl", creations(&missing));
    Ok(Check::fail(NAME, format!("the target lacks {}", missing.join(", ")), fix))
}

/// Policies say for whom they are, whatever travels.
async fn roles_of_policies(source: &Session, target: &Session) -> Result<Check> {
    let statement =
        "SELECT DISTINCT r.rolname::text FROM pg_policy p CROSS JOIN LATERAL unnest(p.polroles) AS named (oid)
                     JOIN pg_roles r ON r.oid = named.oid ORDER BY 1";
    let rows = source.query("list the roles that policies name", statement, &[]).await?;
    let named: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing = missing_roles(target, &named).await?;
    if missing.is_empty() {
        return Ok(Check::pass(NAME, "owners and privileges stay behind"));
    }
    let detail = format!("policies name roles that the target lacks, and will be refused: {}", missing.join(", "));
    Ok(Check::warn(NAME, detail, format!("on the target: {}", creations(&missing))))
}

async fn missing_roles(target: &Session, named: &[String]) -> Result<Vec<String>> {
    let statement = "SELECT n.name FROM unnest($1::text[]) AS n (name)
                     WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = n.name) ORDER BY 1";
    let missing = target.query("look for the roles", statement, &[&named]).await?;
    Ok(missing.iter().map(|row| row.get(0)).collect())
}

fn creations(roles: &[String]) -> String {
    roles.iter().map(|role| format!("CREATE ROLE {}", sql::identifier(role))).collect::<Vec<_>>().join("; ")
}

/// Statements that give the large objects in `batch` their owners and privileges.
pub(crate) async fn of_large_objects(source: &Session, batch: &[u32], rights: Rights) -> Result<Vec<String>> {
    if rights.is_none() {
        return Ok(Vec::new());
    }
    let statement = "SELECT format('ALTER LARGE OBJECT %s OWNER TO %I', l.oid, r.rolname)
                     FROM pg_largeobject_metadata l JOIN pg_roles r ON r.oid = l.lomowner WHERE l.oid = ANY ($1) AND $2
                     UNION ALL
                     SELECT format('GRANT %s ON LARGE OBJECT %s TO %s%s', a.privilege_type, l.oid,
                                   coalesce(quote_ident(r.rolname), 'PUBLIC'),
                                   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                     FROM pg_largeobject_metadata l CROSS JOIN LATERAL aclexplode(l.lomacl) a
                     LEFT JOIN pg_roles r ON r.oid = a.grantee
                     WHERE l.oid = ANY ($1) AND $3 AND a.grantee <> l.lomowner";
    let rows =
        source.query("read who may what of large objects", statement, &[&batch, &rights.owner, &rights.acl]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
