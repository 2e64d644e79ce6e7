//! What the runbooks name exists.
