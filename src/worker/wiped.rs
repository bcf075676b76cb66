//! A byte buffer that leaves nothing behind: what it drops, moves away from or consumes is overwritten first.

use std::io;

use zeroize::{Zeroize, Zeroizing};

/// A growing buffer read from the front. A plain `Vec` that grows leaves copies of its content in freed memory.
#[derive(Default)]
pub(crate) struct WipedBuffer {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
}

impl WipedBuffer {
    /// An empty buffer with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(capacity)), start: 0 }
    }

    /// What was appended and not consumed yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// True when everything was consumed.
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    /// Wipes the first `count` unread bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        let end = self.start.saturating_add(count).min(self.bytes.len());
        if let Some(read) = self.bytes.get_mut(self.start..end) {
            read.zeroize();
        }
        self.start = end;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Replaces unread bytes from the `offset`th on.
    pub(crate) fn overwrite(&mut self, offset: usize, with: &[u8]) {
        let start = self.start + offset;
        if let Some(place) = self.bytes.get_mut(start..start + with.len()) {
            place.copy_from_slice(with);
        }
    }

    /// Appends. Room that is missing is taken elsewhere, and the old place wiped.
    pub(crate) fn append(&mut self, more: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            let unread = self.bytes.len() - self.start;
            let wanted = (unread + more.len()).max(unread * 2).max(256);
            let mut moved = Zeroizing::new(Vec::with_capacity(wanted));
            moved.extend_from_slice(self.unread());
            self.bytes = moved;
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.append(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in_however_it_grows() {
        let mut buffer = WipedBuffer::default();
        let mut expected = Vec::new();
        for round in 0..200u8 {
            let part = vec![round; usize::from(round) * 3];
            buffer.append(&part);
            expected.extend_from_slice(&part);
            let taken = expected.len() / 3;
            assert_eq!(buffer.unread().get(..taken), expected.get(..taken));
            buffer.consume(taken);
            expected.drain(..taken);
        }
        assert_eq!(buffer.unread(), expected);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }

    #[test]
    fn consumed_bytes_are_overwritten_in_place() {
        let mut buffer = WipedBuffer::with_capacity(64);
        buffer.append(b"hunter2 and the rest");
        buffer.consume(7);
        assert_eq!(buffer.bytes.get(..7), Some([0u8; 7].as_slice()));
        assert_eq!(buffer.unread(), b" and the rest");
    }
}
