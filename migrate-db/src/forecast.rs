//! How much there is still to move: measured on disk at first, corrected by what the tables turn out to be as rows.
//!
//! Pure arithmetic. A row on the wire may be larger or smaller than on disk (compression, alignment, NULLs), but the tables
//! of one database are alike, so the ratio of those that are done serves for those that are not.

/// Expected and known bytes of the tables of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forecast {
    /// Bytes on disk of the tables that are not read in full yet.
    pending_on_disk: u64,
    /// Bytes on disk of those that are.
    settled_on_disk: u64,
    /// Their bytes as rows.
    settled_as_rows: u64,
}

impl Forecast {
    /// Nothing is known but the size on disk.
    pub fn new(bytes_on_disk: u64) -> Self {
        Self { pending_on_disk: bytes_on_disk, ..Self::default() }
    }

    /// A table of `on_disk` bytes turned out to be `as_rows` bytes.
    pub fn settle(&mut self, on_disk: u64, as_rows: u64) {
        self.pending_on_disk = self.pending_on_disk.saturating_sub(on_disk);
        self.settled_on_disk += on_disk;
        self.settled_as_rows += as_rows;
    }

    /// Bytes of all tables as rows, as far as one can tell.
    pub fn bytes(&self) -> u64 {
        let ratio = match self.settled_on_disk {
            0 => 1.0,
            on_disk => self.settled_as_rows as f64 / on_disk as f64,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; a cast to u64 saturates"
        )]
        let pending = (self.pending_on_disk as f64 * ratio) as u64;
        self.settled_as_rows + pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_corrects_what_is_not() {
        let mut forecast = Forecast::new(100);
        assert_eq!(forecast.bytes(), 100);
        forecast.settle(40, 80);
        assert_eq!(forecast.bytes(), 80 + 120);
        forecast.settle(60, 30);
        assert_eq!(forecast.bytes(), 110);
    }
}
