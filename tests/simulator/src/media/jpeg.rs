//! Baseline JPEG of a mosaic: every 8x8 block is of one colour, so only the DC coefficient is coded.

use super::picture::{Picture, Rgb};

/// Every step of the quantiser. A flat block's DC coefficient is 8 times its level, so a step of 8 keeps it exact.
const QUANTISER: u8 = 8;
/// Number of DC codes of each length 1..=16 (ITU-T T.81, table K.3).
const DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
/// The codes of the categories 0..=11 in that table, as (bits, length).
const DC_CODES: [(u32, u32); 12] = [
    (0b00, 2),
    (0b010, 3),
    (0b011, 3),
    (0b100, 3),
    (0b101, 3),
    (0b110, 3),
    (0b1110, 4),
    (0b1_1110, 5),
    (0b11_1110, 6),
    (0b111_1110, 7),
    (0b1111_1110, 8),
    (0b1_1111_1110, 9),
];

pub(crate) fn encode(picture: &Picture) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    marker(&mut file, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let mut quantiser = vec![0];
    quantiser.extend([QUANTISER; 64]);
    marker(&mut file, 0xdb, &quantiser);
    marker(&mut file, 0xc0, &frame_header(picture));
    let mut dc_table = vec![0x00];
    dc_table.extend(DC_COUNTS);
    dc_table.extend(0..12);
    marker(&mut file, 0xc4, &dc_table);
    // The AC table has one code, `0`: end of block.
    let mut ac_table = vec![0x10, 1];
    ac_table.extend([0; 15]);
    ac_table.push(0);
    marker(&mut file, 0xc4, &ac_table);
    marker(&mut file, 0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]);
    scan(picture, &mut file);
    file.extend([0xff, 0xd9]);
    file
}

fn frame_header(picture: &Picture) -> Vec<u8> {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).to_be_bytes();
    let mut header = vec![8];
    header.extend(side(picture.height));
    header.extend(side(picture.width));
    header.push(3);
    for component in 1..=3 {
        header.extend([component, 0x11, 0]);
    }
    header
}

fn scan(picture: &Picture, file: &mut Vec<u8>) {
    let mut bits = BitWriter { file, pending: 0, count: 0 };
    let mut previous = [0_i32; 3];
    for row in 0..picture.rows {
        for column in 0..picture.columns {
            let levels = ycc(picture.colour(column, row));
            for (level, previous) in levels.into_iter().zip(&mut previous) {
                write_dc(&mut bits, level - *previous);
                bits.put(0, 1);
                *previous = level;
            }
        }
    }
    bits.finish();
}

fn write_dc(bits: &mut BitWriter<'_>, difference: i32) {
    let category = 32 - difference.unsigned_abs().leading_zeros();
    let (code, length) = DC_CODES.get(category as usize).copied().unwrap_or((0, 2));
    bits.put(code, length);
    let value = if difference < 0 { difference + (1 << category) - 1 } else { difference };
    bits.put(value.unsigned_abs(), category);
}

/// Full-range BT.601 levels around zero, as JFIF asks.
fn ycc([red, green, blue]: Rgb) -> [i32; 3] {
    let (r, g, b) = (i32::from(red), i32::from(green), i32::from(blue));
    let y = (299 * r + 587 * g + 114 * b + 500) / 1000;
    let cb = ((b - y) * 564) / 1000;
    let cr = ((r - y) * 713) / 1000;
    [y - 128, cb.clamp(-128, 127), cr.clamp(-128, 127)]
}

fn marker(file: &mut Vec<u8>, code: u8, data: &[u8]) {
    file.extend([0xff, code]);
    file.extend(u16::try_from(data.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
    file.extend(data);
}

struct BitWriter<'a> {
    file: &'a mut Vec<u8>,
    pending: u32,
    count: u32,
}

impl BitWriter<'_> {
    fn put(&mut self, value: u32, length: u32) {
        for shift in (0..length).rev() {
            self.pending = self.pending << 1 | (value >> shift & 1);
            self.count += 1;
            if self.count == 8 {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let byte = (self.pending & 0xff) as u8;
        self.file.push(byte);
        if byte == 0xff {
            self.file.push(0); // so that it is not taken for a marker
        }
        (self.pending, self.count) = (0, 0);
    }

    fn finish(&mut self) {
        while self.count != 0 {
            self.put(1, 1);
        }
    }
}
