//! The passwords that guessing begins with.
//!
//! `common.txt` has one per line, in the form of [`folded`], sorted by bytes: all entries of 12 and more characters in
//! the lists of Django 5.2 (`common-passwords.txt.gz`, by Royce Williams) and of `@zxcvbn-ts/language-common` 4.1
//! (`passwords.json`), whose licences are in `common-licences.txt`. Those lists are of times when eight characters were
//! enough and so have few of that length. The rest are the 1500 entries that both lists have at the best places, as
//! people make them longer: said two to four times; followed by the digits in order, by `12`, `!`, `1!` or `123!`; and
//! single letters and digits 12 to 20 times.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;

const COMMON: &[u8] = include_bytes!("common.txt");

/// Whether a password, folded, is one of the most common ones. It searches the text as it is, so that a start has nothing
/// to prepare.
pub(super) fn is_common(folded: &str) -> bool {
    // Both are where a line begins.
    let (mut low, mut high) = (0, COMMON.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let is_end = |byte: &u8| *byte == b'\n';
        let start = COMMON[low..middle].iter().rposition(is_end).map_or(low, |end| low + end + 1);
        let end = COMMON[middle..high].iter().position(is_end).map_or(high, |end| middle + end);
        match COMMON[start..end].cmp(folded.as_bytes()) {
            Ordering::Less => low = end + 1,
            Ordering::Equal => return true,
            Ordering::Greater => high = start,
        }
    }
    false
}

/// The form in which texts are compared: whoever guesses tries capitals, too.
pub(super) fn folded(text: &str) -> String {
    // Lower case can fall apart into base and mark, so that it is composed once more.
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<&'static str> {
        std::str::from_utf8(COMMON).unwrap().lines().collect()
    }

    #[test]
    fn the_list_is_as_the_search_expects_it() {
        let lines = lines();
        assert!(lines.len() > 10_000, "{}", lines.len());
        assert!(lines.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()), "it is not sorted");
        for line in lines {
            assert!(folded(line) == line && line.chars().count() >= 12, "{line:?}");
        }
    }

    #[test]
    fn each_line_is_found_and_nothing_between_them() {
        let lines = lines();
        for line in &lines {
            assert!(is_common(line), "{line}");
            let (mut longer, shorter) = ((*line).to_owned(), &line[..line.len() - 1]);
            longer.push('\0');
            assert!(!is_common(&longer), "{longer:?}");
            assert_eq!(is_common(shorter), lines.binary_search(&shorter).is_ok(), "{shorter:?}");
        }
        for other in ["", "\n", "\0", "plums and pears", "\u{10ffff}", "correct horse battery staple"] {
            assert!(!is_common(other), "{other:?}");
        }
    }
}
