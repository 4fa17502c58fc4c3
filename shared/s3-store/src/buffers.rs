//! Part buffers that are used again. An upload of many parts would otherwise take and give back megabytes in turn on
//! several threads, of which the allocator keeps more than the two parts that are ever in use.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The buffers of one upload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// An empty buffer with room for `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.reserve_exact(bytes);
        buffer
    }

    /// The buffer's content. The buffer comes back when the last clone is dropped.
    pub(crate) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, free: Arc::clone(&self.free) })
    }
}

struct Lent {
    buffer: Vec<u8>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let mut first = buffers.take(1000);
        first.extend_from_slice(b"abc");
        let address = first.as_ptr();
        let bytes = buffers.lend(first);
        let clone = bytes.clone();
        drop(bytes);
        assert_eq!((&clone[..], buffers.free.lock().unwrap().len()), (&b"abc"[..], 0));
        drop(clone);
        let again = buffers.take(1000);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }
}
