//! Names of what is made on the platform, so that it can be told apart: ours of this run, ours of an earlier run of the
//! same migration, another migration's.
//!
//! `migrate-db-helper-1f0c2a9b-5e77d2c4`: the program, what it is, a digest of what is migrated where, and the run. Pure.

use sha2::{Digest as _, Sha256};

/// What something on the platform is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The program, for example `migrate-db`.
    pub program: &'static str,
    /// What is migrated where. Two runs with the same text must never be at work at the same time: each removes what the
    /// other left.
    pub errand: String,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    program: &'static str,
    errand: String,
    run: String,
}

/// Whose something is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This run's.
    ThisRun,
    /// An earlier run's of the same migration, which is over.
    EarlierRun,
    /// Another migration's, which may be at work.
    AnotherErrand,
    /// None of ours.
    Stranger,
}

const HELPER: &str = "helper";
const KEY: &str = "key";

impl Names {
    /// Names for a new run on the service instance `instance_guid`.
    pub(crate) fn new(purpose: &Purpose, instance_guid: &str) -> Self {
        let digest = Sha256::digest(format!("{instance_guid}\n{}", purpose.errand));
        let short = |bytes: &[u8]| hex::encode(&bytes[..4]);
        Self { program: purpose.program, errand: short(&digest), run: short(uuid::Uuid::new_v4().as_bytes()) }
    }

    /// The helper application's name.
    pub(crate) fn helper(&self) -> String {
        self.name(HELPER)
    }

    /// The service key's name.
    pub(crate) fn key(&self) -> String {
        self.name(KEY)
    }

    fn name(&self, kind: &str) -> String {
        format!("{}-{kind}-{}-{}", self.program, self.errand, self.run)
    }

    /// Whose the helper application called `name` is.
    pub(crate) fn owner_of_helper(&self, name: &str) -> Owner {
        self.owner(HELPER, name)
    }

    /// Whose the service key called `name` is.
    pub(crate) fn owner_of_key(&self, name: &str) -> Owner {
        self.owner(KEY, name)
    }

    fn owner(&self, kind: &str, name: &str) -> Owner {
        let rest = name.strip_prefix(self.program).and_then(|rest| rest.strip_prefix('-'));
        let rest = rest.and_then(|rest| rest.strip_prefix(kind)).and_then(|rest| rest.strip_prefix('-'));
        let is_short = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        match rest.and_then(|rest| rest.split_once('-')).filter(|(errand, run)| is_short(errand) && is_short(run)) {
            None => Owner::Stranger,
            Some((errand, _)) if errand != self.errand => Owner::AnotherErrand,
            Some((_, run)) if run != self.run => Owner::EarlierRun,
            Some(_) => Owner::ThisRun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(errand: &str) -> Names {
        Names::new(&Purpose { program: "migrate-db", errand: errand.into() }, "instance")
    }

    #[test]
    fn what_was_made_is_told_apart_by_its_name() {
        let now = names("a to b");
        assert_eq!(now.owner_of_helper(&now.helper()), Owner::ThisRun);
        assert_eq!(now.owner_of_key(&now.key()), Owner::ThisRun);
        assert_eq!(now.owner_of_helper(&names("a to b").helper()), Owner::EarlierRun);
        assert_eq!(now.owner_of_helper(&names("a to c").helper()), Owner::AnotherErrand);
        for stranger in
            ["core", "migrate-db", "migrate-db-helper-mine", "migrate-db-helper-1234567g-12345678", &now.key()]
        {
            assert_eq!(now.owner_of_helper(stranger), Owner::Stranger, "{stranger}");
        }
    }
}
