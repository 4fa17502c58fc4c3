//! The picture that every image and video shows: colours from the prompt's SHA-256 and its hex digits.
//!
//! It is a mosaic of square cells. A cell is as large as the block that the encoder works on (8 pixels for JPEG, 16
//! for H.264), so each block is of one colour and the encoders need no transform.

use sha2::{Digest, Sha256};

/// Pixels a side of a cell in images.
pub(crate) const IMAGE_CELL: u32 = 8;
/// Pixels a side of a cell in videos.
pub(crate) const VIDEO_CELL: u32 = 16;

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

const PANEL: Rgb = [18, 18, 26];
const DIGIT: Rgb = [240, 240, 240];
const BLACK: Rgb = [0, 0, 0];

/// A digit is 3 cells wide and 5 high and has one free cell to its right and below.
const DIGIT_WIDTH: u32 = 4;
const DIGIT_HEIGHT: u32 = 6;
/// Rows of the hex digits, top first; the high bit is the left cell.
const FONT: [[u8; 5]; 16] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 1, 1, 1],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
    [7, 5, 7, 5, 5],
    [4, 4, 7, 5, 7],
    [7, 4, 4, 4, 7],
    [1, 1, 7, 5, 7],
    [7, 4, 7, 4, 7],
    [7, 4, 7, 4, 4],
];

/// A mosaic.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) cell: u32,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    cells: Vec<Rgb>,
}

impl Picture {
    /// A black picture.
    pub(crate) fn blank(width: u32, height: u32, cell: u32) -> Self {
        let (columns, rows) = (width.div_ceil(cell), height.div_ceil(cell));
        let cells = vec![BLACK; columns as usize * rows as usize];
        Self { width, height, cell, columns, rows, cells }
    }

    /// The picture of a prompt.
    pub(crate) fn draw(prompt: &str, width: u32, height: u32, cell: u32) -> Self {
        let digest: [u8; 32] = Sha256::digest(prompt.as_bytes()).into();
        let mut picture = Self::blank(width, height, cell);
        picture.draw_pattern(&digest);
        picture.draw_digits(&digest);
        picture
    }

    /// The colour of a cell; black outside.
    pub(crate) fn colour(&self, column: u32, row: u32) -> Rgb {
        let index = self.index(column, row);
        index.and_then(|index| self.cells.get(index)).copied().unwrap_or(BLACK)
    }

    /// Paints a cell; nothing happens outside.
    pub(crate) fn paint(&mut self, column: u32, row: u32, colour: Rgb) {
        if let Some(cell) = self.index(column, row).and_then(|index| self.cells.get_mut(index)) {
            *cell = colour;
        }
    }

    fn index(&self, column: u32, row: u32) -> Option<usize> {
        (column < self.columns && row < self.rows)
            .then(|| row as usize * self.columns as usize + column as usize)
    }

    /// Eight by eight tiles, mirrored left to right, in four colours of the digest.
    fn draw_pattern(&mut self, digest: &[u8; 32]) {
        let byte = |index: u32| digest.get(index as usize % 32).copied().unwrap_or_default();
        let palette = |number: u8| {
            let start = u32::from(number) * 3;
            // Kept away from black and white, so that the digits stand out.
            [0, 1, 2].map(|channel| 40 + (u16::from(byte(start + channel)) * 170 / 255) as u8)
        };
        for row in 0..self.rows {
            for column in 0..self.columns {
                let (tile_x, tile_y) = (column * 8 / self.columns, row * 8 / self.rows);
                let mirrored = tile_x.min(7 - tile_x);
                let number = byte(12 + tile_y * 2 + mirrored / 2) >> (mirrored % 2 * 4) & 3;
                self.paint(column, row, palette(number));
            }
        }
    }

    /// The 64 hex digits on a dark panel in the middle; as many as fit on a small picture.
    fn draw_digits(&mut self, digest: &[u8; 32]) {
        let Some((per_line, scale)) = self.digit_layout() else { return };
        let lines = (64 / per_line).min(self.rows.saturating_sub(1) / (DIGIT_HEIGHT * scale));
        let (panel_width, panel_height) =
            ((per_line * DIGIT_WIDTH + 1) * scale, (lines * DIGIT_HEIGHT + 1) * scale);
        let (left, top) =
            (self.columns.saturating_sub(panel_width) / 2, self.rows.saturating_sub(panel_height) / 2);
        for row in 0..panel_height {
            for column in 0..panel_width {
                self.paint(left + column, top + row, PANEL);
            }
        }
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (number, digit) in (0..per_line * lines).zip(digits) {
            let x = left + scale + number % per_line * DIGIT_WIDTH * scale;
            let y = top + scale + number / per_line * DIGIT_HEIGHT * scale;
            self.draw_digit(digit, x, y, scale);
        }
    }

    /// The number of digits a line and the scale that show all 64 largest.
    fn digit_layout(&self) -> Option<(u32, u32)> {
        let all = [32, 16, 8, 4].into_iter().filter_map(|per_line| {
            let wide = self.columns / (per_line * DIGIT_WIDTH + 1);
            let high = self.rows / (64 / per_line * DIGIT_HEIGHT + 1);
            let scale = wide.min(high);
            (scale > 0).then_some((per_line, scale))
        });
        let best = all.max_by_key(|(_, scale)| *scale);
        let some = self.columns.saturating_sub(1) / DIGIT_WIDTH;
        best.or_else(|| (some > 0 && self.rows > DIGIT_HEIGHT).then_some((some.min(64), 1)))
    }

    fn draw_digit(&mut self, digit: u8, left: u32, top: u32, scale: u32) {
        let rows = FONT.get(usize::from(digit)).copied().unwrap_or_default();
        for (row, bits) in (0..).zip(rows) {
            for column in 0..3 {
                if bits >> (2 - column) & 1 == 1 {
                    for inner in 0..scale * scale {
                        let (dx, dy) = (inner % scale, inner / scale);
                        self.paint(left + column * scale + dx, top + row * scale + dy, DIGIT);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_by_prompt_and_repeat_for_the_same() {
        let cells = |prompt| Picture::draw(prompt, 1024, 768, IMAGE_CELL).cells;
        assert_eq!(cells("a"), cells("a"));
        assert_ne!(cells("a"), cells("b"));
    }

    #[test]
    fn all_digits_are_drawn_on_the_usual_sizes() {
        for (width, height, cell) in
            [(512, 512, 8), (576, 1024, 8), (1280, 720, 16), (720, 1280, 16), (960, 960, 16)]
        {
            let picture = Picture::blank(width, height, cell);
            let (per_line, scale) = picture.digit_layout().unwrap();
            assert!(64 / per_line * 6 * scale < picture.rows, "{width}x{height}");
            assert_eq!(64 % per_line, 0);
        }
    }
}
