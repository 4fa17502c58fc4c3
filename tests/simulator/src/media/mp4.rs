//! MP4 with one H.264 track, index before data. A bar at the bottom grows from frame to frame, so that it moves.

use super::h264;
use super::picture::{Picture, Rgb};

/// Ticks of the time scale that one frame lasts.
const TICKS_PER_FRAME: u32 = 512;
const BAR: Rgb = [250, 204, 21];

/// A clip of `frames` frames.
pub(crate) fn encode(picture: &Picture, frames: u32, frames_per_second: u32) -> Vec<u8> {
    let (frames, frames_per_second) = (frames.max(1), frames_per_second.max(1));
    let samples = samples(picture, frames);
    let clip = Clip { picture, frames, timescale: frames_per_second * TICKS_PER_FRAME, samples: &samples };
    let file_type = atom(b"ftyp", &[b"isom".as_slice(), &[0, 0, 2, 0], b"isomiso2avc1mp41"].concat());
    // The offset of the data depends on the index's size, not on the offset's value: measure, then write.
    let index_size = clip.index(0).len();
    let data_offset = u32::try_from(file_type.len() + index_size + 8).unwrap_or(u32::MAX);
    let mut file = file_type;
    file.extend(clip.index(data_offset));
    file.extend(atom(b"mdat", &samples.concat()));
    file
}

/// An atom with its size.
pub(crate) fn atom(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut atom = Vec::with_capacity(payload.len() + 8);
    atom.extend(u32::try_from(payload.len() + 8).unwrap_or(u32::MAX).to_be_bytes());
    atom.extend(name);
    atom.extend(payload);
    atom
}

/// The frames, each one NAL unit after its length.
fn samples(picture: &Picture, frames: u32) -> Vec<Vec<u8>> {
    let mut samples = vec![with_length(&h264::intra_frame(picture))];
    let bottom = picture.rows.saturating_sub(1);
    let mut filled = 0;
    for number in 1..frames {
        let until =
            u32::try_from(u64::from(picture.columns) * u64::from(number) / u64::from(frames - 1).max(1))
                .unwrap_or(picture.columns);
        let changes: Vec<_> = (filled..until).map(|column| (column, bottom, BAR)).collect();
        filled = until;
        samples.push(with_length(&h264::changed_frame(picture, number, &changes)));
    }
    samples
}

fn with_length(unit: &[u8]) -> Vec<u8> {
    let mut sample = u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    sample.extend(unit);
    sample
}

struct Clip<'a> {
    picture: &'a Picture,
    frames: u32,
    timescale: u32,
    samples: &'a [Vec<u8>],
}

impl Clip<'_> {
    fn ticks(&self) -> u32 {
        self.frames * TICKS_PER_FRAME
    }

    fn index(&self, data_offset: u32) -> Vec<u8> {
        let movie = [
            words(&[0, 0, 0, self.timescale, self.ticks(), 0x0001_0000]),
            vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            matrix(),
            words(&[0, 0, 0, 0, 0, 0, 2]),
        ];
        let track = atom(b"trak", &[self.track_header(), self.media(data_offset)].concat());
        atom(b"moov", &[atom(b"mvhd", &movie.concat()), track].concat())
    }

    fn track_header(&self) -> Vec<u8> {
        let header = [
            words(&[3, 0, 0, 1, 0, self.ticks(), 0, 0, 0, 0]),
            matrix(),
            words(&[self.picture.width << 16, self.picture.height << 16]),
        ];
        atom(b"tkhd", &header.concat())
    }

    fn media(&self, data_offset: u32) -> Vec<u8> {
        let header = atom(b"mdhd", &words(&[0, 0, 0, self.timescale, self.ticks(), 0x55c4_0000]));
        let handler = [words(&[0, 0]), b"vide".to_vec(), words(&[0, 0, 0]), b"VideoHandler\0".to_vec()];
        let reference = atom(b"dref", &[words(&[0, 1]), atom(b"url ", &words(&[1]))].concat());
        let information = [
            atom(b"vmhd", &words(&[1, 0, 0])),
            atom(b"dinf", &reference),
            atom(b"stbl", &self.sample_table(data_offset)),
        ];
        atom(
            b"mdia",
            &[header, atom(b"hdlr", &handler.concat()), atom(b"minf", &information.concat())].concat(),
        )
    }

    fn sample_table(&self, data_offset: u32) -> Vec<u8> {
        let mut sizes = words(&[0, 0, self.frames]);
        for sample in self.samples {
            sizes.extend(u32::try_from(sample.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        [
            atom(b"stsd", &[words(&[0, 1]), self.sample_entry()].concat()),
            atom(b"stts", &words(&[0, 1, self.frames, TICKS_PER_FRAME])),
            atom(b"stss", &words(&[0, 1, 1])),
            atom(b"stsc", &words(&[0, 1, 1, self.frames, 1])),
            atom(b"stsz", &sizes),
            atom(b"stco", &words(&[0, 1, data_offset])),
        ]
        .concat()
    }

    fn sample_entry(&self) -> Vec<u8> {
        let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).to_be_bytes();
        let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
        entry.extend([0; 16]);
        entry.extend(side(self.picture.width));
        entry.extend(side(self.picture.height));
        entry.extend(words(&[0x0048_0000, 0x0048_0000, 0]));
        entry.extend([0, 1]);
        entry.extend([0; 32]); // compressor name
        entry.extend([0, 24, 0xff, 0xff]);
        entry.extend(self.decoder_configuration());
        atom(b"avc1", &entry)
    }

    fn decoder_configuration(&self) -> Vec<u8> {
        let sequence = h264::sequence_parameters(self.picture);
        let picture = h264::picture_parameters();
        let mut configuration = vec![1];
        configuration.extend(sequence.iter().skip(1).take(3));
        configuration.extend([0xff, 0xe1]);
        for (index, unit) in [sequence, picture].into_iter().enumerate() {
            if index == 1 {
                configuration.push(1);
            }
            configuration.extend(u16::try_from(unit.len()).unwrap_or(u16::MAX).to_be_bytes());
            configuration.extend(unit);
        }
        atom(b"avcC", &configuration)
    }
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// The unity transformation.
fn matrix() -> Vec<u8> {
    words(&[0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000])
}
