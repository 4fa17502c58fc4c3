//! PNG, 8 bits a channel, by way of the mosaic: each row but the first of a cell row repeats the one above.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

use super::picture::Picture;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Filter types of a row: the bytes as they are, and the difference to the row above.
const FILTER_NONE: u8 = 0;
const FILTER_UP: u8 = 2;

pub(crate) fn encode(picture: &Picture) -> Vec<u8> {
    let mut file = SIGNATURE.to_vec();
    let mut header = Vec::with_capacity(13);
    header.extend(picture.width.to_be_bytes());
    header.extend(picture.height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]); // depth, RGB, deflate, standard filters, not interlaced
    file.extend(chunk(b"IHDR", &header));
    file.extend(chunk(b"IDAT", &compressed_rows(picture)));
    file.extend(chunk(b"IEND", &[]));
    file
}

/// A chunk with its length and checksum.
pub(crate) fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    let mut chunk = Vec::with_capacity(data.len() + 12);
    chunk.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    chunk.extend(name);
    chunk.extend(data);
    chunk.extend(crc.sum().to_be_bytes());
    chunk
}

fn compressed_rows(picture: &Picture) -> Vec<u8> {
    let same_as_above: Vec<u8> =
        std::iter::once(FILTER_UP).chain(std::iter::repeat_n(0, picture.width as usize * 3)).collect();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    for y in 0..picture.height {
        let row = if y % picture.cell == 0 {
            let mut row = Vec::with_capacity(same_as_above.len());
            row.push(FILTER_NONE);
            for x in 0..picture.width {
                row.extend(picture.colour(x / picture.cell, y / picture.cell));
            }
            row
        } else {
            same_as_above.clone()
        };
        // Writing to a `Vec` does not fail.
        let _ = encoder.write_all(&row);
    }
    encoder.finish().unwrap_or_default()
}
