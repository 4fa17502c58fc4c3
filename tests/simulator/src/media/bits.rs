//! Bits, highest first, as MPEG streams have them.

/// Collects bits into bytes.
#[derive(Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    pending: u8,
    count: u32,
}

impl BitWriter {
    /// The lowest `length` bits of `value`.
    pub(super) fn put(&mut self, value: u32, length: u32) {
        for shift in (0..length).rev() {
            self.pending = self.pending << 1 | (value >> shift & 1) as u8;
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.pending);
                (self.pending, self.count) = (0, 0);
            }
        }
    }

    /// How many bits there are.
    pub(super) fn length_bits(&self) -> u32 {
        self.bytes.len() as u32 * 8 + self.count
    }

    /// Zeros up to the next whole byte.
    pub(super) fn align(&mut self) {
        while self.count != 0 {
            self.put(0, 1);
        }
    }

    /// All bytes, the last one filled with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}
