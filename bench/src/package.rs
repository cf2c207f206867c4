use std::io::Write;

use anyhow::Result;
use flate2::{Compression, write::DeflateEncoder};

/// What a zip file with one entry has besides the entry's content, for a name as short as `bootstrap`.
const FRAME: u64 = 140;

/// How large a package with only this file in it is.
pub(crate) fn zipped_size(file: &[u8]) -> Result<u64> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(file)?;
    Ok(u64::try_from(encoder.finish()?.len())? + FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_shrinks() {
        assert!(zipped_size(&[7; 100_000]).unwrap() < 1000);
    }
}
