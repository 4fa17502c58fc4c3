//! Ogg Opus that holds silence: a real Opus encoder is out of proportion here, and silence has a fixed packet.

use std::time::Duration;

/// A 20 ms mono packet of silence (CELT, full band).
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
const PACKETS_PER_SECOND: u32 = 50;
/// Samples of a packet at Opus' fixed 48 kHz clock.
const SAMPLES_PER_PACKET: u64 = 960;
const PACKETS_PER_PAGE: u32 = 50;
const SERIAL: u32 = 0x5349_4d31;

pub(super) fn silence(duration: Duration) -> Vec<u8> {
    let packets = (duration.as_secs_f64() * f64::from(PACKETS_PER_SECOND)).ceil() as u32;
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend([0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]); // no pre-skip, 48 kHz, no gain, mono
    let mut tags = b"OpusTags".to_vec();
    tags.extend(9_u32.to_le_bytes());
    tags.extend(b"simulator");
    tags.extend(0_u32.to_le_bytes());
    let mut file = page(2, 0, 0, &[&head]);
    file.extend(page(0, 0, 1, &[&tags]));
    let (mut written, mut number) = (0, 2);
    while written < packets {
        let count = PACKETS_PER_PAGE.min(packets - written);
        written += count;
        let flags = if written == packets { 4 } else { 0 };
        let content: Vec<&[u8]> = (0..count).map(|_| SILENCE.as_slice()).collect();
        file.extend(page(flags, u64::from(written) * SAMPLES_PER_PACKET, number, &content));
        number += 1;
    }
    file
}

/// A page of packets, each shorter than 255 bytes.
fn page(flags: u8, position: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(position.to_le_bytes());
    page.extend(SERIAL.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push(u8::try_from(packets.len()).unwrap_or(u8::MAX));
    page.extend(packets.iter().map(|packet| u8::try_from(packet.len()).unwrap_or(u8::MAX)));
    for packet in packets {
        page.extend(*packet);
    }
    let sum = checksum(&page).to_le_bytes();
    for (place, byte) in page.iter_mut().skip(22).zip(sum) {
        *place = byte;
    }
    page
}

/// CRC-32 with the polynomial 0x04c11db7, unreflected, from zero.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |mut sum, byte| {
        sum ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            sum = if sum & 0x8000_0000 == 0 { sum << 1 } else { sum << 1 ^ 0x04c1_1db7 };
        }
        sum
    })
}
