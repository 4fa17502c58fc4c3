//! H.264 constrained baseline of a mosaic: macroblocks of one colour are copied from a neighbour or sent as samples.
//!
//! The first frame is all intra: a macroblock with the colour of its left or upper neighbour is an `Intra_16x16`
//! prediction without residual, any other one is `I_PCM`. Later frames skip every macroblock but those that changed.
//! The deblocking filter is off, so the picture is exact.

use super::bits::BitWriter;
use super::picture::{Picture, Rgb};

/// Width of `frame_num` in slice headers.
const FRAME_NUMBER_BITS: u32 = 8;
/// Level 4.0: up to 8192 macroblocks a frame, that is 1920x1088.
const LEVEL: u8 = 40;
/// Level 5.1, for larger pictures.
const LARGE_LEVEL: u8 = 51;

/// The sequence parameter set, without a start code.
pub(crate) fn sequence_parameters(picture: &Picture) -> Vec<u8> {
    let level = if picture.columns * picture.rows > 8192 { LARGE_LEVEL } else { LEVEL };
    let mut bits = BitWriter::default();
    bits.put(66, 8); // baseline
    bits.put(0b1100_0000, 8); // constrained
    bits.put(u32::from(level), 8);
    bits.unsigned(0); // seq_parameter_set_id
    bits.unsigned(FRAME_NUMBER_BITS - 4);
    bits.unsigned(2); // output order is decoding order
    bits.unsigned(1); // one reference frame
    bits.put(0, 1); // no gaps in frame_num
    bits.unsigned(picture.columns.saturating_sub(1));
    bits.unsigned(picture.rows.saturating_sub(1));
    bits.put(0b11, 2); // frames only, direct_8x8_inference
    let crop_right = picture.columns * 16 - picture.width;
    let crop_bottom = picture.rows * 16 - picture.height;
    if crop_right + crop_bottom > 0 {
        bits.put(1, 1);
        for crop in [0, crop_right / 2, 0, crop_bottom / 2] {
            bits.unsigned(crop);
        }
    } else {
        bits.put(0, 1);
    }
    bits.put(0, 1); // no VUI
    bits.unit(0x67)
}

/// The picture parameter set, without a start code.
pub(crate) fn picture_parameters() -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.unsigned(0); // pic_parameter_set_id
    bits.unsigned(0); // seq_parameter_set_id
    bits.put(0, 2); // CAVLC, no bottom field order
    bits.unsigned(0); // one slice group
    bits.unsigned(0); // one reference in list 0
    bits.unsigned(0);
    bits.put(0, 3); // no weighted prediction
    for _ in 0..3 {
        bits.unsigned(0); // QP 26, no chroma offset
    }
    bits.put(0b100, 3); // deblocking control present, unconstrained intra, no redundant pictures
    bits.unit(0x68)
}

/// The first frame.
pub(crate) fn intra_frame(picture: &Picture) -> Vec<u8> {
    let mut bits = BitWriter::default();
    slice_header(&mut bits, 7, 0, true);
    let mut as_samples = vec![false; picture.columns as usize];
    for row in 0..picture.rows {
        let mut left_as_samples = false;
        for (column, upper_as_samples) in (0..).zip(&mut as_samples) {
            let colour = picture.colour(column, row);
            let is_left = column > 0 && picture.colour(column - 1, row) == colour;
            let is_upper = row > 0 && picture.colour(column, row - 1) == colour;
            let prediction =
                if is_left { Some(Prediction::Left) } else { is_upper.then_some(Prediction::Upper) };
            let left = (column > 0).then_some(left_as_samples);
            let upper = (row > 0).then_some(*upper_as_samples);
            match prediction {
                Some(prediction) => predicted_macroblock(&mut bits, prediction, left, upper),
                None => {
                    bits.unsigned(25);
                    bits.samples(colour);
                }
            }
            left_as_samples = prediction.is_none();
            *upper_as_samples = left_as_samples;
        }
    }
    bits.unit(0x65)
}

/// A later frame, in which only the macroblocks of `changes` (in raster order) are new.
pub(crate) fn changed_frame(picture: &Picture, number: u32, changes: &[(u32, u32, Rgb)]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    slice_header(&mut bits, 5, number, false);
    let mut next = 0;
    for (column, row, colour) in changes {
        let address = row * picture.columns + column;
        bits.unsigned(address.saturating_sub(next));
        bits.unsigned(30); // I_PCM in a P slice
        bits.samples(*colour);
        next = address + 1;
    }
    let rest = (picture.columns * picture.rows).saturating_sub(next);
    if rest > 0 {
        bits.unsigned(rest);
    }
    bits.unit(0x41)
}

#[derive(Clone, Copy)]
enum Prediction {
    Left,
    Upper,
}

fn slice_header(bits: &mut BitWriter, slice_type: u32, number: u32, is_first: bool) {
    bits.unsigned(0); // first_mb_in_slice
    bits.unsigned(slice_type);
    bits.unsigned(0); // pic_parameter_set_id
    bits.put(number % (1 << FRAME_NUMBER_BITS), FRAME_NUMBER_BITS);
    if is_first {
        bits.unsigned(0); // idr_pic_id
        bits.put(0, 2); // output prior pictures, short-term reference
    } else {
        bits.put(0, 3); // default reference count, list order and marking
    }
    bits.unsigned(0); // slice_qp_delta
    bits.unsigned(1); // deblocking off
}

/// An `Intra_16x16` macroblock that takes luma and chroma from a neighbour and has no residual. `left` and `upper`
/// say whether that neighbour was sent as samples, if there is one.
fn predicted_macroblock(
    bits: &mut BitWriter,
    prediction: Prediction,
    left: Option<bool>,
    upper: Option<bool>,
) {
    let (macroblock_type, chroma_mode) = match prediction {
        Prediction::Upper => (1, 2),
        Prediction::Left => (2, 1),
    };
    bits.unsigned(macroblock_type);
    bits.unsigned(chroma_mode);
    bits.unsigned(0); // mb_qp_delta
    // coeff_token of an empty DC block; its code depends on how full the neighbours are (an I_PCM one counts as 16).
    let coefficients = |is_samples: bool| if is_samples { 16 } else { 0 };
    let expected = match (left.map(coefficients), upper.map(coefficients)) {
        (Some(left), Some(upper)) => (left + upper + 1) >> 1,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 0,
    };
    if expected >= 8 { bits.put(0b00_0011, 6) } else { bits.put(1, 1) }
}

/// Limited-range BT.601, as players assume without further notice.
fn samples_of([red, green, blue]: Rgb) -> [u8; 3] {
    let (r, g, b) = (i32::from(red), i32::from(green), i32::from(blue));
    let y = 16 + (66 * r + 129 * g + 25 * b + 128) / 256;
    let cb = 128 + (-38 * r - 74 * g + 112 * b) / 256;
    let cr = 128 + (112 * r - 94 * g - 18 * b) / 256;
    [y, cb, cr].map(|level| u8::try_from(level.clamp(1, 254)).unwrap_or(128))
}

impl BitWriter {
    /// Unsigned Exp-Golomb code. The only signed values here are zero, which has the same code.
    fn unsigned(&mut self, value: u32) {
        let length = 32 - (value + 1).leading_zeros();
        self.put(0, length - 1);
        self.put(value + 1, length);
    }

    /// The samples of an `I_PCM` macroblock, after aligning.
    fn samples(&mut self, colour: Rgb) {
        self.align();
        let [y, cb, cr] = samples_of(colour);
        self.bytes.extend(std::iter::repeat_n(y, 256));
        self.bytes.extend(std::iter::repeat_n(cb, 64));
        self.bytes.extend(std::iter::repeat_n(cr, 64));
    }

    /// Ends the payload and gives the NAL unit with emulation prevention.
    fn unit(mut self, header: u8) -> Vec<u8> {
        self.put(1, 1);
        let bytes = self.into_bytes();
        let mut unit = Vec::with_capacity(bytes.len() + 16);
        unit.push(header);
        let mut zeros = 0;
        for byte in bytes {
            if zeros == 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}
