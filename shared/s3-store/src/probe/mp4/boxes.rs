//! Boxes within a box, and the big-endian numbers in them. Whatever does not fit ends the reading.

/// The boxes of a body, by name. Ends at the first one that does not fit.
pub(super) fn boxes(body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let header = rest.get(..header_bytes(rest))?;
        let name = *header.get(4..)?.first_chunk::<4>()?;
        let length = match length_in(header) {
            None => rest.len(),
            Some(length) => usize::try_from(length).ok().filter(|length| *length >= header.len())?,
        };
        let inside = rest.get(header.len()..length)?;
        rest = rest.get(length..)?;
        Some((name, inside))
    })
}

/// The first box of that name; nothing where there is none.
pub(super) fn inside<'a>(body: &'a [u8], name: &[u8; 4]) -> &'a [u8] {
    boxes(body).find(|(found, _)| found == name).map_or(&[], |(_, body)| body)
}

/// 16 when the short length says that a long one follows.
pub(super) fn header_bytes(header: &[u8]) -> usize {
    if header.first_chunk::<4>() == Some(&[0, 0, 0, 1]) { 16 } else { 8 }
}

/// The length of a whole box; `None` when it reaches to the end.
pub(super) fn length_in(header: &[u8]) -> Option<u64> {
    match number32(header, 0)? {
        0 => None,
        1 => number64(header, 8),
        short => Some(u64::from(short)),
    }
}

pub(super) fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

pub(super) fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

pub(super) fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The lower three bytes of a box's first four: which of its fields are there.
pub(super) fn flags(body: &[u8]) -> u32 {
    number32(body, 0).unwrap_or(0) & 0xff_ffff
}
