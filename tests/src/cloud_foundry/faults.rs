//! What goes wrong on request.

/// Something that the foundation does not do, or does wrong, until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The broker gives no service keys.
    KeysDenied,
    /// Staging fails.
    StagingFails,
    /// Applications are not deleted: the job fails.
    AppDeletionFails,
    /// Service keys are not deleted: the broker refuses.
    KeyDeletionRefused,
    /// The published fingerprint is another key's.
    WrongFingerprint,
    /// The instance crashes as soon as it starts.
    InstanceCrashes,
    /// The API answers with 503.
    ApiUnavailable,
    /// UAA lets nobody in.
    LogInRefused,
}
