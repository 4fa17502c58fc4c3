//! The structure of each format. That decoders accept them is checked in `tests/clients`.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::*;

fn image(format: ImageFormat, width: u32, height: u32) -> MediaSpec {
    MediaSpec::Image { prompt: "a cat".to_owned(), width, height, format, blank: false }
}

fn video() -> MediaSpec {
    MediaSpec::Video {
        prompt: "a walk".to_owned(),
        width: 848,
        height: 472,
        frames: 48,
        frames_per_second: 24,
    }
}

fn speech(name: &str) -> MediaSpec {
    let format = SpeechFormat::named(name).unwrap();
    MediaSpec::Speech(Box::new(Speech::new("twenty characters...", format)))
}

fn every_spec() -> Vec<MediaSpec> {
    let mut specs = vec![
        image(ImageFormat::Png, 333, 77),
        image(ImageFormat::Jpeg, 333, 77),
        image(ImageFormat::Webp, 333, 77),
        video(),
    ];
    let names =
        ["mp3_44100_128", "mp3_24000_48", "opus_48000_64", "wav_16000", "pcm_8000", "ulaw_8000", "alaw_8000"];
    specs.extend(names.map(speech));
    let others = [SpeechFormat::Flac { rate: 16_000 }, SpeechFormat::Aac { bits_per_second: 48_000 }];
    specs.extend(
        others.map(|format| MediaSpec::Speech(Box::new(Speech::new("twenty characters...", format)))),
    );
    specs
}

fn collected(file: &MediaFile) -> Vec<u8> {
    file.segments.iter().flat_map(|segment| segment.bytes.repeat(segment.repeat as usize)).collect()
}

fn number(bytes: &[u8]) -> usize {
    u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize
}

/// Name and payload of each box.
fn atoms(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut atoms = Vec::new();
    while !bytes.is_empty() {
        let (atom, rest) = bytes.split_at(number(bytes));
        atoms.push((&atom[4..8], &atom[8..]));
        bytes = rest;
    }
    atoms
}

#[test]
fn rendering_repeats_itself() {
    for spec in every_spec() {
        assert_eq!(spec.render(), spec.render(), "{spec:?}");
    }
}

#[test]
fn an_mp4_is_whole_boxes_and_its_index_points_at_the_data() {
    let file = video().render();
    let names: Vec<&[u8]> = atoms(&file).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [b"ftyp", b"moov", b"mdat"]);
    let place = file.windows(4).position(|window| window == b"stco").unwrap();
    let offset = number(&file[place + 12..]);
    assert_eq!(&file[offset - 4..offset], b"mdat");
    let place = file.windows(4).position(|window| window == b"stsz").unwrap();
    let frames = number(&file[place + 12..]);
    let sizes: usize = (0..frames).map(|frame| number(&file[place + 16 + frame * 4..])).sum();
    assert_eq!((frames, offset + sizes), (48, file.len()));
}

#[test]
fn a_png_inflates_to_its_rows_and_has_right_checksums() {
    let file = image(ImageFormat::Png, 333, 77).render();
    let (mut place, mut data) = (8, Vec::new());
    while place < file.len() {
        let length = number(&file[place..]);
        let chunk = &file[place..place + length + 12];
        let mut crc = flate2::Crc::new();
        crc.update(&chunk[4..8 + length]);
        assert_eq!(crc.sum() as usize, number(&chunk[8 + length..]));
        if &chunk[4..8] == b"IDAT" {
            data.extend(&chunk[8..8 + length]);
        }
        place += length + 12;
    }
    let mut rows = Vec::new();
    ZlibDecoder::new(data.as_slice()).read_to_end(&mut rows).unwrap();
    assert_eq!(rows.len(), (333 * 3 + 1) * 77);
}

#[test]
fn an_mp3_is_whole_frames() {
    for (name, bytes_per_second) in
        [("mp3_44100_128", 16_000.0), ("mp3_22050_32", 4_000.0), ("mp3_44100_96", 12_000.0)]
    {
        let file = speech(name).render();
        let sync = [file[0], file[1]];
        let mut starts: Vec<usize> =
            (0..file.len() - 1).filter(|place| file[*place..][..2] == sync).collect();
        starts.push(file.len());
        // The lengths differ by the padding byte at most.
        let lengths: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{name}: {lengths:?}");
        let seconds = file.len() as f64 / bytes_per_second;
        assert!((1.33..1.40).contains(&seconds), "{name}: {seconds}");
    }
}

#[test]
fn files_are_blown_up_to_the_byte() {
    for spec in every_spec() {
        let file = spec.render();
        for size in [file.len() as u64 * 3 + 1234, 3_000_000] {
            let blown_up = spec.file(file.clone(), Some(size));
            let bytes = collected(&blown_up);
            assert_eq!(bytes.len() as u64, blown_up.size_bytes());
            let is_ogg = spec.extension() == "ogg";
            assert!(
                bytes.len() as u64 == size || is_ogg && bytes.len() as u64 <= size,
                "{spec:?}: {}",
                bytes.len()
            );
        }
        assert_eq!(collected(&spec.file(file.clone(), Some(1))), file, "nothing is blown down");
    }
}

#[test]
fn shortened_files_are_prefixes() {
    let file = video().render();
    let whole = video().file(file, Some(3_000_000));
    let bytes = collected(&whole);
    for size in [0, 1, 70_000, 1_500_000, 3_000_000] {
        let mut cut = whole.clone();
        cut.shorten_to(size);
        assert_eq!(collected(&cut), bytes[..size as usize]);
    }
}
