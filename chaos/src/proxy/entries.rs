use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{
    HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH},
    request::Parts,
};
use http_body_util::Full;

use crate::proxy::{Answer, Asked, Cut, refusals::answer, text_of};

/// How the fields of an entry begin: `PublishBatchRequestEntries.member.1.Id`.
const ENTRY: &str = "PublishBatchRequestEntries.member.";

/// The signature holds for the whole batch alone; the owner of the account needs none.
const OWNER: &str = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=none";

/// A `PublishBatch` of which some entries are refused.
pub(super) struct Batch {
    /// The ids of the entries that are refused, by their numbers in the form.
    refused: BTreeMap<String, String>,
    /// The numbers of those that are not.
    taken: BTreeSet<String>,
}

impl Batch {
    /// Decides on each entry.
    pub(super) fn read(form: &[u8], mut is_refused: impl FnMut() -> bool) -> Self {
        let mut batch = Self { refused: BTreeMap::new(), taken: BTreeSet::new() };
        for (name, value) in form_urlencoded::parse(form) {
            if let Some((number, "Id")) = name.strip_prefix(ENTRY).and_then(|rest| rest.split_once('.')) {
                if is_refused() {
                    batch.refused.insert(number.to_owned(), value.into_owned());
                } else {
                    batch.taken.insert(number.to_owned());
                }
            }
        }
        batch
    }

    /// How many are refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.len() as u64
    }

    /// The batch without those that are refused, if that leaves any.
    pub(super) fn rest(&self, mut head: Parts, form: Bytes) -> Option<Asked> {
        if self.refused.is_empty() {
            return Some(Request::from_parts(head, form));
        }
        if self.taken.is_empty() {
            return None;
        }
        // Their numbers have to be consecutive.
        let numbers: BTreeMap<&str, String> =
            self.taken.iter().map(String::as_str).zip((1..).map(|number: u32| number.to_string())).collect();
        let mut rest = Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(&form) {
            match name.strip_prefix(ENTRY).and_then(|rest| rest.split_once('.')) {
                None => drop(rest.append_pair(&name, &value)),
                Some((number, field)) => {
                    if let Some(number) = numbers.get(number) {
                        rest.append_pair(&format!("{ENTRY}{number}.{field}"), &value);
                    }
                }
            }
        }
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(AUTHORIZATION, HeaderValue::from_static(OWNER));
        Some(Request::from_parts(head, Bytes::from(rest.finish())))
    }

    /// The answer to the rest, with the refusals added. Both ways are tried in which SNS may fail for an entry: by its
    /// own fault, and because there are too many, which it calls the sender's.
    pub(super) async fn amend(&self, rest: Answer) -> Result<Answer, Cut> {
        let (mut head, mut body) = rest.into_parts();
        if self.refused.is_empty() || head.status != StatusCode::OK {
            return Ok(Answer::from_parts(head, body));
        }
        let refusal = |(place, id): (usize, &String)| {
            let (code, is_sender) =
                if place % 2 == 0 { ("InternalError", false) } else { ("Throttled", true) };
            format!(
                "<member><Id>{id}</Id><Code>{code}</Code><Message>Please try again.</Message>\
                 <SenderFault>{is_sender}</SenderFault></member>"
            )
        };
        let refusals: String = self.refused.values().enumerate().map(refusal).collect();
        let text = text_of(&mut body).await;
        let (before, after) = text.split_once("</Failed>").ok_or(Cut)?;
        head.headers.remove(CONTENT_LENGTH);
        let text = format!("{before}{refusals}</Failed>{after}");
        Ok(Answer::from_parts(head, Full::from(Bytes::from(text))))
    }
}

/// The answer to a batch of which nothing is left, before it is said what was refused.
pub(super) fn nothing_taken() -> Answer {
    let body = "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
                <Successful></Successful><Failed></Failed></PublishBatchResult></PublishBatchResponse>";
    answer(StatusCode::OK, "text/xml", body.to_owned())
}
