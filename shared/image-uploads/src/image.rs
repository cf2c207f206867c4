use std::{fmt, io::Cursor};

use deserr::Deserr;
use problem_details::{InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rows::Reason;

/// The kinds of pictures that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[deserr(error = InputErrors, try_from(String) = ImageType::try_from -> InvalidValue)]
pub enum ImageType {
    /// PNG
    #[serde(rename = "image/png")]
    Png,
    /// JPEG
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// WebP
    #[serde(rename = "image/webp")]
    Webp,
    /// AVIF
    #[serde(rename = "image/avif")]
    Avif,
}

/// A picture, as far as it is known without its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its kind, which is also the `content-type` that its file is served with.
    pub content_type: ImageType,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl ImageType {
    const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::Webp, Self::Avif];

    /// The media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// How much of a file of so many bytes has to be read to tell how large its picture is.
    pub(crate) fn needed(self, size: u32) -> u32 {
        match self {
            // It stands at its place, in the first bytes. A file of another kind is to be known, too.
            Self::Png | Self::Webp => size.min(64 * 1024),
            Self::Jpeg | Self::Avif => size,
        }
    }

    /// Whether a file begins as each of this kind does. The library looks at less than the whole mark.
    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Png => head.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            Self::Webp => head.get(12..15) == Some(b"VP8".as_slice()),
            Self::Jpeg | Self::Avif => true,
        }
    }

    fn of(found: imagesize::ImageType) -> Option<Self> {
        match found {
            imagesize::ImageType::Png => Some(Self::Png),
            imagesize::ImageType::Jpeg => Some(Self::Jpeg),
            imagesize::ImageType::Webp => Some(Self::Webp),
            imagesize::ImageType::Heif(imagesize::Compression::Av1) => Some(Self::Avif),
            _ => None,
        }
    }
}

impl fmt::Display for ImageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for ImageType {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or(InvalidValue::new("must be image/png, image/jpeg, image/webp or image/avif"))
    }
}

impl Image {
    /// The longest side that is accepted.
    const MAX_SIDE: u32 = 10_000;
    /// Decoded, a picture of this many pixels fills some 160 MB of whoever looks at it.
    const MAX_PIXELS: u32 = 40_000_000;

    /// The picture in a file, or why it is refused. Of a PNG and a WebP the first 64 KiB do, of others it takes the whole.
    ///
    /// Nothing is decoded. A file is taken at its word for how large its picture is, and refused if that is too large
    /// or if it has another word for those who read it otherwise.
    pub fn look(file: &[u8], declared: ImageType) -> Result<Self, Reason> {
        let mut reader = Cursor::new(file);
        let found =
            imagesize::reader_type(&mut reader).and_then(|kind| Ok((kind, kind.reader_size(&mut reader)?)));
        let Ok((kind, size)) = found else { return Err(Reason::NotAnImage) };
        let Some(content_type) = ImageType::of(kind).filter(|kind| kind.begins(file)) else {
            return Err(Reason::NotAnImage);
        };
        if content_type != declared {
            return Err(Reason::OtherType);
        }
        match (u32::try_from(size.width), u32::try_from(size.height)) {
            (Ok(width), Ok(height))
                if Self::is_bearable((width, height)) && sizes(file, content_type).all(Self::is_bearable) =>
            {
                Ok(Self { content_type, width, height })
            }
            _ => Err(Reason::Dimensions),
        }
    }

    fn is_bearable((width, height): (u32, u32)) -> bool {
        let sides = 1..=Self::MAX_SIDE;
        sides.contains(&width) && sides.contains(&height) && width * height <= Self::MAX_PIXELS
    }
}

/// All that readers of a JPEG or an AVIF could take for the size of its picture, wherever it stands.
///
/// Readers of damaged files differ in how they find their way, and so one is shown a small picture where another meets a
/// large one. None finds a size but in one of these places. In a PNG and a WebP it has a place of its own.
fn sizes(file: &[u8], kind: ImageType) -> impl Iterator<Item = (u32, u32)> {
    let size_at = match kind {
        ImageType::Jpeg => frame,
        ImageType::Avif => extents,
        ImageType::Png | ImageType::Webp => |_: &[u8]| None,
    };
    (0..file.len()).filter_map(move |at| size_at(&file[at..]))
}

/// The size in the header of a JPEG's frame. Its length agrees with its number of components, else nobody decodes it.
fn frame(bytes: &[u8]) -> Option<(u32, u32)> {
    let [0xff, marker, l0, l1, _, h0, h1, w0, w1, components, ..] = *bytes else { return None };
    let begins = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
    let is_frame = begins && u16::from_be_bytes([l0, l1]) == 8 + 3 * u16::from(components);
    is_frame.then(|| (u16::from_be_bytes([w0, w1]).into(), u16::from_be_bytes([h0, h1]).into()))
}

/// The size among an AVIF's properties: there is one for each picture in it, and for each of their parts.
fn extents(bytes: &[u8]) -> Option<(u32, u32)> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let (width, rest) = rest.split_first_chunk()?;
    let (height, _) = rest.split_first_chunk()?;
    let is_size = head.starts_with(b"ispe\0");
    is_size.then(|| (u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let header =
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()];
        [header.concat(), b"\x08\x06\0\0\0".to_vec()].concat()
    }

    fn webp(width: u32, height: u32) -> Vec<u8> {
        let size = |side: u32| side.wrapping_sub(1).to_le_bytes()[..3].to_vec();
        let head = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
        [head, size(width), size(height)].concat()
    }

    /// A JPEG with this much of other data before its size.
    fn jpeg(width: u16, height: u16, other: usize) -> Vec<u8> {
        let mut file = b"\xff\xd8".to_vec();
        let mut left = other;
        while left > 0 {
            let part = left.min(60_000);
            file.extend(b"\xff\xe1");
            file.extend(u16::try_from(part + 2).unwrap().to_be_bytes());
            file.extend(vec![0; part]);
            left -= part;
        }
        file.extend(b"\xff\xc0\0\x11\x08");
        file.extend(height.to_be_bytes());
        file.extend(width.to_be_bytes());
        file.extend([0; 12]);
        file
    }

    fn part(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes(), name.as_slice(), content].concat()
    }

    /// An AVIF with these sizes among its properties, each after this much of other data.
    fn avif(sizes: &[(u32, u32)], other: usize) -> Vec<u8> {
        let size = |(width, height): &(u32, u32)| {
            let content = [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
            [part(b"colr", &vec![0; other]), part(b"ispe", &content)].concat()
        };
        let properties = part(b"iprp", &part(b"ipco", &sizes.iter().flat_map(size).collect::<Vec<_>>()));
        let meta = part(b"meta", &[vec![0; 4], part(b"hdlr", &[0; 12]), properties].concat());
        [part(b"ftyp", b"avif\0\0\0\0avifmif1"), meta, part(b"mdat", &vec![0; 100_000])].concat()
    }

    fn image(content_type: ImageType, width: u32, height: u32) -> Result<Image, Reason> {
        Ok(Image { content_type, width, height })
    }

    fn files() -> [(ImageType, Vec<u8>); 4] {
        [
            (ImageType::Png, png(640, 480)),
            (ImageType::Jpeg, jpeg(640, 480, 100)),
            (ImageType::Webp, webp(640, 480)),
            (ImageType::Avif, avif(&[(640, 480)], 100)),
        ]
    }

    #[test]
    fn every_accepted_kind_is_told_by_its_head() {
        for (kind, file) in files() {
            assert_eq!(Image::look(&file, kind), image(kind, 640, 480), "{kind}");
        }
    }

    #[test]
    fn a_file_of_another_kind_than_declared_is_refused() {
        for (kind, file) in files() {
            for declared in ImageType::ALL.into_iter().filter(|declared| *declared != kind) {
                assert_eq!(Image::look(&file, declared), Err(Reason::OtherType), "{kind}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let html = b"<!doctype html><title>no picture</title>".to_vec();
        let gif = b"GIF89a\x80\x02\xe0\x01\0\0\0".to_vec();
        let mut heic = avif(&[(640, 480)], 0);
        heic[8..12].copy_from_slice(b"heic");
        let almost = [b"\x89PNG".to_vec(), vec![1; 40]].concat();
        let riff = b"RIFF\x16\0\0\0WEBPxxxX\x0a\0\0\0\0\0\0\0\x01\0\0\x01\0\0".to_vec();
        for file in [vec![], b"\x89P".to_vec(), html, gif, heic, almost, riff, png(640, 480)[..20].to_vec()] {
            for declared in ImageType::ALL {
                assert_eq!(Image::look(&file, declared), Err(Reason::NotAnImage), "{file:?}");
            }
        }
    }

    #[test]
    fn sides_and_pixels_have_bounds() {
        for (width, height) in [(1, 1), (10_000, 4_000), (4_000, 10_000), (10_000, 1)] {
            assert_eq!(
                Image::look(&png(width, height), ImageType::Png),
                image(ImageType::Png, width, height)
            );
        }
        for (width, height) in [
            (0, 1),
            (1, 0),
            (10_001, 1),
            (1, 10_001),
            (10_000, 4_001),
            (65_535, 65_535),
            (u32::MAX, u32::MAX),
        ] {
            for (kind, file) in [
                (ImageType::Png, png(width, height)),
                (ImageType::Avif, avif(&[(width, height)], 0)),
                (ImageType::Webp, webp(width, height)),
            ] {
                assert_eq!(Image::look(&file, kind), Err(Reason::Dimensions), "{kind} {width} {height}");
            }
        }
    }

    #[test]
    fn the_part_that_is_needed_tells_as_much_as_the_whole() {
        for (kind, mut file) in files() {
            file.resize(200_000, 0);
            let part = &file[..kind.needed(200_000) as usize];
            assert_eq!(Image::look(part, kind), Image::look(&file, kind), "{kind}");
        }
        for kind in ImageType::ALL {
            assert_eq!(kind.needed(10), 10);
        }
        let far = jpeg(640, 480, 200_000);
        assert_eq!(Image::look(&far, ImageType::Jpeg), image(ImageType::Jpeg, 640, 480));
        let large = avif(&[(10, 10), (20_000, 10)], 50_000);
        assert_eq!(Image::look(&large, ImageType::Avif), Err(Reason::Dimensions));
    }

    /// Decoders take FF01 and FFD0 to FFD7 for marks without a length: what comes next is the picture for them. For
    /// others that is the length, and what they skip ends at a small one.
    #[test]
    fn a_small_jpeg_for_one_reader_is_no_large_one_for_another() {
        let frame = |width: u16, height: u16| {
            let sides = [height.to_be_bytes(), width.to_be_bytes()].concat();
            [b"\xff\xc0\0\x11\x08".as_slice(), &sides, b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"].concat()
        };
        for mark in [0x01, 0xd0, 0xd7] {
            let file = |width, height| {
                let start = [&[0xff, 0xd8, 0xff, mark], frame(width, height).as_slice()].concat();
                // The length of 0xffc0 ends within a comment, at the small picture.
                let rest = [b"\xff\xfe\xff\xff".as_slice(), &vec![0; 0xffc0 - 23], &frame(1, 1)].concat();
                let mut file = [start, rest].concat();
                file.resize(file.len() + 100_000, 0);
                file
            };
            assert_eq!(Image::look(&file(1, 1), ImageType::Jpeg), image(ImageType::Jpeg, 1, 1));
            for (width, height) in [(20_000, 20_000), (10_001, 1), (1, 0)] {
                assert_eq!(
                    Image::look(&file(width, height), ImageType::Jpeg),
                    Err(Reason::Dimensions),
                    "{mark:x} {width} {height}"
                );
            }
        }
    }

    #[test]
    fn a_large_avif_behind_what_looks_like_its_end_is_refused() {
        let size = |width: u32, height: u32| {
            part(b"ispe", &[[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat())
        };
        let end = part(b"irot", b"\0\0\0\0\0mdat");
        let file = |last: Vec<u8>| {
            let properties = [size(1, 1), end.clone(), last].concat();
            let properties = part(b"iprp", &part(b"ipco", &properties));
            let meta = part(b"meta", &[vec![0; 4], part(b"hdlr", &[0; 12]), properties].concat());
            [part(b"ftyp", b"avif\0\0\0\0avifmif1"), meta, part(b"mdat", &[0; 1000])].concat()
        };
        assert_eq!(Image::look(&file(size(2, 2)), ImageType::Avif), image(ImageType::Avif, 1, 1));
        // A length of 64 bits stands between the name and the size.
        let wide =
            [b"\0\0\0\x01ispe\0\0\0\0\0\0\0\x1c\0\0\0\0".as_slice(), &[0, 0, 0x4e, 0x20].repeat(2)].concat();
        for large in [size(20_000, 20_000), wide] {
            assert_eq!(Image::look(&file(large), ImageType::Avif), Err(Reason::Dimensions));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for declared in ImageType::ALL {
                Image::look(&bytes, declared).ok();
            }
        }

        #[test]
        fn no_damage_to_a_head_is_too_strange(
            which in 0..4_usize,
            damage in prop::collection::vec((0..300_usize, any::<u8>()), 1..8),
            length in 0..300_usize,
        ) {
            let (declared, mut file) = files()[which].clone();
            file.truncate(length.max(12));
            for (at, byte) in damage {
                if let Some(place) = file.get_mut(at) {
                    *place = byte;
                }
            }
            if let Ok(image) = Image::look(&file, declared) {
                prop_assert!((1..=10_000).contains(&image.width) && (1..=10_000).contains(&image.height));
                prop_assert!(image.width * image.height <= 40_000_000);
            }
        }
    }
}
