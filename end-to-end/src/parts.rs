/// A generated part of a document is missing.
#[derive(Debug, thiserror::Error)]
#[error("the document has no part `<!-- begin {0} -->` … `<!-- end {0} -->` to write into")]
pub struct NoSuchPart(&'static str);

/// A document with its generated parts as they are now.
pub(crate) fn with_parts(document: &str, parts: &[(&'static str, String)]) -> Result<String, NoSuchPart> {
    let mut text = document.to_owned();
    for (name, part) in parts {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let from = text.find(&begin).ok_or(NoSuchPart(name))? + begin.len();
        let to = from + text[from..].find(&end).ok_or(NoSuchPart(name))?;
        text.replace_range(from..to, &format!("\n{part}\n"));
    }
    Ok(text)
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
