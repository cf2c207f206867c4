//! Files that people upload as pictures.

use image_uploads::{Image, ImageType};

const TYPES: [ImageType; 4] = [ImageType::Png, ImageType::Jpeg, ImageType::Webp, ImageType::Avif];
const LONGEST_SIDE: u32 = 10_000;
const MOST_PIXELS: u32 = 40_000_000;

/// A file is taken for at most one kind of picture, with the mark of that kind at its beginning, and for none that is
/// larger than pictures may be.
pub fn check(file: &[u8]) {
    let pictures =
        TYPES.into_iter().filter_map(|declared| Some((declared, Image::look(file, declared).ok()?)));
    let pictures: Vec<_> = pictures.collect();
    let [(declared, image)] = *pictures else {
        assert!(pictures.is_empty(), "{pictures:?}");
        return;
    };
    let Image { content_type, width, height } = image;
    assert_eq!(content_type, declared);
    let sides = 1..=LONGEST_SIDE;
    assert!(sides.contains(&width) && sides.contains(&height) && width * height <= MOST_PIXELS, "{image:?}");
    let begins = |at: usize, mark: &[u8]| file.get(at..).is_some_and(|file| file.starts_with(mark));
    match content_type {
        ImageType::Png => {
            assert!(begins(0, b"\x89PNG\r\n\x1a\n"));
            // Where every reader finds it.
            assert!(begins(16, &[width.to_be_bytes(), height.to_be_bytes()].concat()), "{image:?}");
        }
        ImageType::Jpeg => assert!(begins(0, b"\xff\xd8\xff")),
        ImageType::Webp => assert!(begins(0, b"RIFF") && begins(8, b"WEBPVP8")),
        ImageType::Avif => assert!(begins(4, b"ftyp")),
    }
}
