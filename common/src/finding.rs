//! What verification has to say: verdicts of the whole run, findings about single items.

use serde::{Deserialize, Serialize};

/// The word a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was compared and is equal.
    Equal,
    /// Named items differ, or failed.
    Different,
    /// Nothing was seen to differ, but for named items equality could not be proved.
    Unproved,
    /// The run did not get to its end.
    Failed,
    /// Someone stopped the run.
    Stopped,
}

impl Verdict {
    /// The word as it stands in the summary.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different => "different",
            Self::Unproved => "unproved",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// The verdict over findings: the worst of them decides, and no findings at all means equal.
    pub fn over<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        findings.into_iter().fold(Self::Equal, |verdict, finding| match (verdict, finding.kind.verdict()) {
            (Self::Different, _) | (_, Self::Different) => Self::Different,
            (Self::Unproved, _) | (_, Self::Unproved) => Self::Unproved,
            _ => Self::Equal,
        })
    }
}

/// How one aspect of one item came out, where it is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Both sides have it and they are not the same.
    Differs,
    /// The target lacks it.
    SourceOnly,
    /// The source has no such thing.
    TargetOnly,
    /// It could not be moved or read.
    Error,
    /// It could not be compared.
    Unknown,
    /// Something that a person should know and that does not change the verdict.
    Note,
}

impl FindingKind {
    /// What such a finding makes of the whole run.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Differs | Self::SourceOnly | Self::TargetOnly | Self::Error => Verdict::Different,
            Self::Unknown => Verdict::Unproved,
            Self::Note => Verdict::Equal,
        }
    }

    /// The words as they stand in tables.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::SourceOnly => "source only",
            Self::TargetOnly => "target only",
            Self::Error => "error",
            Self::Unknown => "not provable",
            Self::Note => "note",
        }
    }
}

/// One thing found out about one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The item: a table, an index, an object's key.
    pub item: String,
    /// The aspect of it, for example `rows`, `content`, `content-type`, `index`.
    pub aspect: String,
    /// How it came out.
    pub kind: FindingKind,
    /// The sentence for a person. Never holds a row value; keys of rows only when asked for.
    pub detail: String,
}

impl Finding {
    /// A finding; see the fields.
    pub fn new(
        kind: FindingKind,
        item: impl Into<String>,
        aspect: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { item: item.into(), aspect: aspect.into(), kind, detail: detail.into() }
    }
}

/// How strongly an item's equality is proved; ordered, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofLevel {
    /// Not at all.
    None,
    /// The sizes agree; nothing else is known.
    Size,
    /// The target validated and stored a checksum of the bytes that we sent.
    Stored,
    /// Besides, what we read is proved to be what the source holds.
    Linked,
    /// Both sides were read in full and hashed by us.
    Reread,
}

impl ProofLevel {
    /// The word as it stands in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Size => "size",
            Self::Stored => "stored",
            Self::Linked => "linked",
            Self::Reread => "reread",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let finding = |kind| Finding::new(kind, "item", "aspect", "detail");
        assert_eq!(Verdict::over(&[]), Verdict::Equal);
        assert_eq!(Verdict::over(&[finding(FindingKind::Note)]), Verdict::Equal);
        assert_eq!(Verdict::over(&[finding(FindingKind::Unknown), finding(FindingKind::Note)]), Verdict::Unproved);
        assert_eq!(
            Verdict::over(&[finding(FindingKind::Unknown), finding(FindingKind::SourceOnly)]),
            Verdict::Different
        );
    }
}
