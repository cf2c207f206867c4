//! Reports as JSON or as CSV, as the client asks for in `Accept`.

use std::borrow::Cow;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use domain_events::Money;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY},
    request::Parts,
};
use problem_details::{Json, Problem};
use serde::Serialize;
use uuid::Uuid;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

/// A report that can be written either way.
pub(super) trait Report: Serialize {
    /// What a file with it is called, without its ending.
    fn name(&self) -> String;

    /// Names of the columns, and the rows under them.
    fn table(&self) -> (Vec<&'static str>, Vec<Vec<Cell<'_>>>);
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Empty,
    Number(i64),
    Decimal(f64),
    Text(Cow<'a, str>),
}

impl Format {
    /// The better one of both for a client that accepts `accept`; JSON, if both are as good.
    ///
    /// Which range of an `Accept` speaks of a format is as in RFC 9110, 12.5.1: the one that names it best. Of two that
    /// are wanted as much, the one that was named better wins: `text/csv, */*` asks for CSV.
    fn of(accept: &str) -> Option<Self> {
        let preference = |format: Self| {
            let ranges = accept.split(',').filter_map(|range| format.fit(range));
            let (fit, quality) = ranges.max_by_key(|(fit, _)| *fit)?;
            (quality > 0).then_some((quality, fit))
        };
        match (preference(Self::Json), preference(Self::Csv)) {
            (None, None) => None,
            (json, csv) => Some(if csv > json { Self::Csv } else { Self::Json }),
        }
    }

    /// How well one range of an `Accept` names this format, and how much it is wanted, in thousandths; `None` if it is
    /// about others.
    fn fit(self, range: &str) -> Option<(u8, u16)> {
        let mut parts = range.split(';').map(str::trim);
        let (kind, subtype) = match self {
            Self::Json => ("application", "json"),
            Self::Csv => ("text", "csv"),
        };
        let (wanted_kind, wanted_subtype) = parts.next()?.split_once('/')?;
        let fit = match (wanted_kind, wanted_subtype) {
            ("*", "*") => 0,
            (wanted, "*") if wanted.eq_ignore_ascii_case(kind) => 1,
            (wanted, sub) if wanted.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.and_then(|quality| quality.parse::<f32>().ok()).unwrap_or(1.0);
        // Bounded before: nothing is cut off.
        Some((fit, (quality.clamp(0.0, 1.0) * 1000.0) as u16))
    }

    /// The answer that has this report in it.
    pub(super) fn answer(self, report: &impl Report) -> Response {
        let mut response = match self {
            Self::Json => Json(report).into_response(),
            Self::Csv => csv(report).unwrap_or_else(|error| Problem::internal(error).into_response()),
        };
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        accepted(&parts.headers).ok_or_else(|| {
            let detail = "Reports are there as application/json and as text/csv; see the Accept header.";
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable", detail)
        })
    }
}

fn accepted(headers: &HeaderMap) -> Option<Format> {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = values.join(",");
    if accept.trim().is_empty() { Some(Format::Json) } else { Format::of(&accept) }
}

/// RFC 4180: commas, quotes where they are needed, lines that end with CR and LF, a header.
fn csv(report: &impl Report) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let (header, rows) = report.table();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in &rows {
        writer.write_record(row.iter().map(|cell| cell.to_text().into_owned()))?;
    }
    let body = String::from_utf8(writer.into_inner()?)?;
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}.csv\"", report.name()))?;
    let content_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    Ok(([(CONTENT_TYPE, content_type), (CONTENT_DISPOSITION, disposition)], body).into_response())
}

impl Cell<'_> {
    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Number(number) => number.to_string().into(),
            Self::Decimal(number) => number.to_string().into(),
            Self::Text(text) if is_formula(text) => format!("'{text}").into(),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Whether a spreadsheet may take a text for a formula, which somebody could have written into a product's name to run
/// where the report is opened. Then it gets an apostrophe in front, which spreadsheets read as: this is text.
fn is_formula(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(['=', '+', '-', '@'])
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<f64> for Cell<'_> {
    fn from(number: f64) -> Self {
        Self::Decimal(number)
    }
}

impl From<Uuid> for Cell<'_> {
    fn from(id: Uuid) -> Self {
        Self::Text(id.to_string().into())
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, T::into)
    }
}

/// An amount has two columns.
pub(super) fn money<'a>(money: Option<&Money>) -> [Cell<'a>; 2] {
    match money {
        Some(Money { amount, currency }) => [(*amount).into(), Cell::Text(currency.to_string().into())],
        None => [Cell::Empty, Cell::Empty],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_wants_most() {
        use Format::{Csv, Json};
        for (accept, expected) in [
            ("application/json", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/csv", Some(Csv)),
            ("Text/CSV;charset=utf-8", Some(Csv)),
            ("text/*", Some(Csv)),
            ("text/csv, */*", Some(Csv)),
            ("text/csv, */*;q=0.1", Some(Csv)),
            ("text/csv, application/json", Some(Json)),
            ("text/csv;q=0.5, application/json;q=0.4", Some(Csv)),
            ("application/json;q=0, */*", Some(Csv)),
            ("text/csv;q=0, text/*", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Json)),
            ("application/xml", None),
            ("*/*;q=0", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of(accept), expected, "{accept}");
        }
    }

    #[test]
    fn what_says_nothing_of_formats_gets_json() {
        assert_eq!(accepted(&HeaderMap::new()), Some(Format::Json));
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static(""));
        assert_eq!(accepted(&headers), Some(Format::Json));
        headers.append(ACCEPT, HeaderValue::from_static("application/xml"));
        headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
        assert_eq!(accepted(&headers), Some(Format::Csv));
    }

    #[test]
    fn a_text_is_never_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1"] {
            assert_eq!(Cell::from(formula).to_text(), format!("'{formula}"));
        }
        for text in ["", "Mug", "A = B", "'=1", "3-way plug"] {
            assert_eq!(Cell::from(text).to_text(), text);
        }
        // Of our own making, and to be summed.
        assert_eq!(Cell::from(-5).to_text(), "-5");
    }
}
