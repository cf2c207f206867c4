use std::{
    fmt,
    io::{self, BufRead, Cursor, Read, Seek, SeekFrom},
};

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

/// What the beginning of a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Image(Image),
    Refused(Reason),
    /// What there is of the file does not decide it.
    Inconclusive,
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
    const MAX_SIDE: usize = 10_000;
    /// Decoded, a picture of this many pixels fills some 160 MB of whoever looks at it.
    const MAX_PIXELS: usize = 40_000_000;

    /// The picture in a file, told by its head: the first bytes of the file, or all of them.
    ///
    /// Nothing is decoded. A file is taken at its word for how large its picture is, and refused if that is too large.
    pub(crate) fn look(head: &[u8], is_whole: bool, declared: ImageType) -> Look {
        let mut file = Head { bytes: Cursor::new(head), ran_out: false };
        let found =
            imagesize::reader_type(&mut file).and_then(|kind| Ok((kind, kind.reader_size(&mut file)?)));
        if file.ran_out && !is_whole {
            return Look::Inconclusive;
        }
        let Ok((kind, size)) = found else { return Look::Refused(Reason::NotAnImage) };
        let Some(content_type) = ImageType::of(kind).filter(|kind| kind.begins(head)) else {
            return Look::Refused(Reason::NotAnImage);
        };
        if content_type != declared {
            return Look::Refused(Reason::OtherType);
        }
        let sides = 1..=Self::MAX_SIDE;
        if !sides.contains(&size.width)
            || !sides.contains(&size.height)
            || size.width * size.height > Self::MAX_PIXELS
        {
            return Look::Refused(Reason::Dimensions);
        }
        match (u32::try_from(size.width), u32::try_from(size.height)) {
            (Ok(width), Ok(height)) => Look::Image(Self { content_type, width, height }),
            _ => Look::Refused(Reason::Dimensions),
        }
    }
}

/// The first bytes of a file, for a reader that might want to see more of it.
struct Head<'a> {
    bytes: Cursor<&'a [u8]>,
    /// Whether more was asked for.
    ran_out: bool,
}

impl Read for Head<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.ran_out |= read < buffer.len();
        Ok(read)
    }
}

impl BufRead for Head<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let rest = self.bytes.fill_buf()?;
        self.ran_out |= rest.is_empty();
        Ok(rest)
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Head<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
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

    fn image(content_type: ImageType, width: u32, height: u32) -> Look {
        Look::Image(Image { content_type, width, height })
    }

    fn refused(reason: Reason) -> Look {
        Look::Refused(reason)
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
            assert_eq!(Image::look(&file, true, kind), image(kind, 640, 480), "{kind}");
        }
    }

    #[test]
    fn a_file_of_another_kind_than_declared_is_refused() {
        for (kind, file) in files() {
            for declared in ImageType::ALL.into_iter().filter(|declared| *declared != kind) {
                assert_eq!(Image::look(&file, true, declared), refused(Reason::OtherType), "{kind}");
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
                assert_eq!(Image::look(&file, true, declared), refused(Reason::NotAnImage), "{file:?}");
            }
        }
    }

    #[test]
    fn sides_and_pixels_have_bounds() {
        for (width, height) in [(1, 1), (10_000, 4_000), (4_000, 10_000), (10_000, 1)] {
            assert_eq!(
                Image::look(&png(width, height), true, ImageType::Png),
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
                assert_eq!(
                    Image::look(&file, true, kind),
                    refused(Reason::Dimensions),
                    "{kind} {width} {height}"
                );
            }
        }
    }

    /// A small picture in front must not hide a large one behind what was read.
    #[test]
    fn the_size_is_not_guessed_from_half_a_head() {
        let file = jpeg(640, 480, 200_000);
        assert_eq!(Image::look(&file[..65_536], false, ImageType::Jpeg), Look::Inconclusive);
        assert_eq!(Image::look(&file, true, ImageType::Jpeg), image(ImageType::Jpeg, 640, 480));

        let file = avif(&[(10, 10), (20_000, 10)], 50_000);
        assert_eq!(Image::look(&file[..65_536], false, ImageType::Avif), Look::Inconclusive);
        assert_eq!(Image::look(&file, true, ImageType::Avif), refused(Reason::Dimensions));

        for (kind, file) in files() {
            assert_eq!(
                Image::look(&file[..file.len().min(65_536)], false, kind),
                image(kind, 640, 480),
                "{kind}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), is_whole: bool) {
            for declared in ImageType::ALL {
                Image::look(&bytes, is_whole, declared);
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
            if let Look::Image(image) = Image::look(&file, true, declared) {
                prop_assert!((1..=10_000).contains(&image.width) && (1..=10_000).contains(&image.height));
                prop_assert!(image.width * image.height <= 40_000_000);
            }
        }
    }
}
