//! Where the rows that a tap takes off a connection go. Called by `connect`, which opens it, and by the tap.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::rows::Piece;

/// So many pieces wait for whoever takes them; then the server waits.
const PIECES_WAITING_MAX: usize = 2;

/// What an outlet gives.
#[derive(Debug)]
pub enum Outflow {
    /// Rows.
    Rows(Piece),
    /// So many rows the server says that it has sent. Comes last, and only where the COPY came to its end.
    Count(u64),
}

/// Where the rows of the next COPY go: shared by a tap and the session that owns the connection.
#[derive(Clone, Default)]
pub struct Outlet(Arc<Mutex<Option<mpsc::Sender<Outflow>>>>);

impl Outlet {
    /// The rows of the COPY that is asked for next come here, piece by piece; none any more after
    /// its end, its failure, or that of the connection. To be called before it is asked for.
    pub fn open(&self) -> mpsc::Receiver<Outflow> {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
        self.set(Some(sender));
        receiver
    }

    /// No COPY came of it.
    pub fn close(&self) {
        self.set(None);
    }

    fn set(&self, sender: Option<mpsc::Sender<Outflow>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    pub(super) fn take(&self) -> Option<mpsc::Sender<Outflow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
