//! Pictures that are not what they seem, made of the samples.

use crate::uploads::File;

/// A picture whose header says that it has other sides than it has. Decoded, it would fill the memory.
pub(crate) fn bomb(mut file: File, width: u16, height: u16) -> File {
    let (wide, high) = (width.to_be_bytes(), height.to_be_bytes());
    match file.content_type {
        // IHDR is always first; its checksum, behind it, covers the sides.
        "image/png" => {
            file.bytes[16..20].copy_from_slice(&u32::from(width).to_be_bytes());
            file.bytes[20..24].copy_from_slice(&u32::from(height).to_be_bytes());
            let checksum = crc32(&file.bytes[12..29]).to_be_bytes();
            file.bytes[29..33].copy_from_slice(&checksum);
        }
        "image/jpeg" => {
            let frame = start_of_frame(&file.bytes);
            file.bytes[frame + 5..frame + 7].copy_from_slice(&high);
            file.bytes[frame + 7..frame + 9].copy_from_slice(&wide);
        }
        // A lossy picture without extras: the sides have 14 bits each.
        "image/webp" => {
            assert_eq!(&file.bytes[12..16], b"VP8 ");
            file.bytes[26..28].copy_from_slice(&width.to_le_bytes());
            file.bytes[28..30].copy_from_slice(&height.to_le_bytes());
        }
        other => panic!("no bomb of type {other}"),
    }
    file
}

/// A JPEG of this size in bytes, filled up with what may stand before the picture itself: first a camera's notes, then
/// comments.
pub(crate) fn commented(mut file: File, size: usize) -> File {
    const MARKER: usize = 2;
    const LENGTH: usize = 2;
    let mut filling = Vec::new();
    let mut left = size - file.bytes.len();
    while left > 0 {
        // The last segment must not be shorter than its own head.
        let segment = match left {
            ..=60_000 => left,
            _ => 60_000.min(left - MARKER - LENGTH),
        };
        filling.extend([0xff, if filling.is_empty() { 0xe1 } else { 0xfe }]);
        filling.extend(u16::try_from(segment - MARKER).unwrap().to_be_bytes());
        filling.extend(std::iter::repeat_n(b'.', segment - MARKER - LENGTH));
        left -= segment;
    }
    let frame = start_of_frame(&file.bytes);
    file.bytes.splice(frame..frame, filling);
    file
}

/// Where the segment begins that holds a JPEG's sides. In the sample, nothing before it looks the same.
fn start_of_frame(jpeg: &[u8]) -> usize {
    jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap()
}

/// The checksum of a PNG's parts.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| {
            if state & 1 == 0 { state >> 1 } else { (state >> 1) ^ 0xedb8_8320 }
        })
    })
}
