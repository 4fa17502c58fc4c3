//! FLAC, 16 bit mono, every sample written as it is: lossless, and small enough for a few seconds of speech.

use super::bits::BitWriter;

/// Samples of a frame; a shorter last one is allowed.
const BLOCK: usize = 4096;
/// The signature and the block that describes the stream.
pub(super) const HEAD_BYTES: usize = 4 + 4 + 34;
/// Types of metadata blocks; the highest bit marks the last one.
const STREAM: u32 = 0;
const PADDING: u8 = 1;
const COMMENT: u32 = 4;
const LAST: u32 = 0x80;
/// Rates that a frame can name, from code 4 on. Decoders that begin in the middle need it.
const RATES: [u32; 7] = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

pub(super) fn encode(samples: &[i16], rate: u32) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(u32::from_be_bytes(*b"fLaC"), 32);
    bits.put(STREAM, 8);
    bits.put(34, 24);
    bits.put(BLOCK as u32, 16); // shortest and longest block, the last not counted
    bits.put(BLOCK as u32, 16);
    bits.put(0, 24); // sizes of frames are not told
    bits.put(0, 24);
    bits.put(rate, 20);
    bits.put(0, 3); // one channel
    bits.put(15, 5); // 16 bit
    bits.put(0, 4); // the upper bits of the number of samples
    bits.put(u32::try_from(samples.len()).unwrap_or(u32::MAX), 32);
    for _ in 0..4 {
        bits.put(0, 32); // no MD5
    }
    // A block that comes last, so that padding can be put between.
    let vendor = b"simulator";
    bits.put(LAST | COMMENT, 8);
    bits.put(8 + vendor.len() as u32, 24);
    let mut file = bits.into_bytes();
    file.extend((vendor.len() as u32).to_le_bytes());
    file.extend(vendor);
    file.extend(0_u32.to_le_bytes());
    for (number, block) in (0_u32..).zip(samples.chunks(BLOCK)) {
        file.extend(frame(number, block, rate));
    }
    file
}

/// A block of metadata that holds nothing, `size` bytes in all.
pub(super) fn padding(size: u64) -> Vec<u8> {
    let content = u32::try_from(size.saturating_sub(4)).unwrap_or_default();
    let mut block = vec![PADDING];
    block.extend(content.to_be_bytes().into_iter().skip(1));
    block.resize(block.len() + content as usize, 0);
    block
}

fn frame(number: u32, samples: &[i16], rate: u32) -> Vec<u8> {
    // Code 0 means the rate of the head.
    let rate_code = (4_u32..).zip(RATES).find(|(_, known)| *known == rate).map_or(0, |(code, _)| code);
    let mut bits = BitWriter::default();
    bits.put(0b11_1111_1111_1110, 14);
    bits.put(0, 2); // blocks of fixed size
    bits.put(0b0111, 4); // the block's size follows in 16 bits
    bits.put(rate_code, 4);
    bits.put(0, 4); // mono
    bits.put(0b100, 3); // 16 bit
    bits.put(0, 1);
    for byte in coded_number(number) {
        bits.put(u32::from(byte), 8);
    }
    bits.put(samples.len() as u32 - 1, 16);
    let header_sum = checksum(&bits.bytes, 0x07, 8);
    bits.put(header_sum, 8);
    bits.put(0b0000_0010, 8); // verbatim
    for sample in samples {
        bits.put(u32::from(*sample as u16), 16);
    }
    let sum = checksum(&bits.bytes, 0x8005, 16);
    bits.put(sum, 16);
    bits.into_bytes()
}

/// A frame's number in the way of UTF-8, which goes up to two thousand million here.
fn coded_number(number: u32) -> Vec<u8> {
    if number < 0x80 {
        return vec![number as u8];
    }
    let mut tail = Vec::new();
    let (mut rest, mut room) = (number, 6);
    while rest >= 1 << room {
        tail.push(0x80 | (rest & 0x3f) as u8);
        rest >>= 6;
        room -= 1;
    }
    let marks = !((1_u32 << (room + 1)) - 1) & 0xff;
    let mut bytes = vec![(marks | rest) as u8];
    bytes.extend(tail.into_iter().rev());
    bytes
}

/// A checksum of `width` bits, highest bit first, from zero.
fn checksum(bytes: &[u8], polynomial: u32, width: u32) -> u32 {
    let (top, mask) = (1 << (width - 1), (1 << width) - 1);
    bytes.iter().fold(0, |mut sum, byte| {
        sum ^= u32::from(*byte) << (width - 8);
        for _ in 0..8 {
            sum = if sum & top == 0 { sum << 1 } else { sum << 1 ^ polynomial };
        }
        sum & mask
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_coded_like_characters() {
        for number in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff] {
            let expected = char::from_u32(number).map(|character| character.to_string());
            if let Some(expected) = expected {
                assert_eq!(coded_number(number), expected.as_bytes(), "{number:#x}");
            }
        }
    }

    #[test]
    fn checksums_are_the_standard_ones() {
        assert_eq!(checksum(b"123456789", 0x07, 8), 0xf4);
        assert_eq!(checksum(b"123456789", 0x8005, 16), 0xfee8);
    }
}
