use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::OptionalFromRequestParts;
use http::{HeaderMap, request::Parts};

/// Where a request came from, as its front door saw it: the other end of the client's connection. What the client says
/// of itself in headers does not count. A handler takes it as an `Option`: an event may not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

const X_FORWARDED_FOR: &str = "x-forwarded-for";

impl ClientAddress {
    /// The address that API Gateway names outside of the headers.
    pub(super) fn named(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::of)
    }

    /// The address that a load balancer has added to the header: the last one, and with its port, as the load balancer
    /// may be told to do. Those before are whatever the client has sent.
    pub(super) fn forwarded(headers: &HeaderMap) -> Option<Self> {
        // Only the last one has to be readable: what the client has sent must not hide it.
        let last = headers.get(X_FORWARDED_FOR)?.as_bytes().rsplit(|byte| *byte == b',').next()?;
        let last = std::str::from_utf8(last).ok()?.trim();
        let with_port = || last.parse().ok().map(|address: SocketAddr| Self::of(address.ip()));
        Self::named(last).or_else(with_port)
    }

    /// One client has one address, also where IPv4 comes in the clothes of IPv6.
    fn of(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(value: &'static str) -> Option<String> {
        let headers = [(http::HeaderName::from_static(X_FORWARDED_FOR), HeaderValue::from_static(value))];
        ClientAddress::forwarded(&headers.into_iter().collect())
            .map(|ClientAddress(address)| address.to_string())
    }

    #[test]
    fn a_load_balancers_word_is_the_last_one() {
        for (value, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
            ("anything at all,192.0.2.7 ", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7:44321", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("198.51.100.1, [2001:db8::7]:44321", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(forwarded(value).as_deref(), Some(address), "{value}");
        }
    }

    #[test]
    fn nothing_that_a_client_sends_hides_its_address() {
        let value = HeaderValue::from_bytes(b"\xe9\xff, 192.0.2.7").unwrap();
        let headers = [(http::HeaderName::from_static(X_FORWARDED_FOR), value)].into_iter().collect();
        assert_eq!(ClientAddress::forwarded(&headers), ClientAddress::named("192.0.2.7"));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for value in ["", ",", "192.0.2.7,", "192.0.2.7, unknown", "192.0.2", "192.0.2.7:x", "[2001:db8::7]"]
        {
            assert_eq!(forwarded(value), None, "{value}");
        }
        assert_eq!(ClientAddress::forwarded(&HeaderMap::new()), None);
        for text in ["", "localhost", "192.0.2.7:80", " 192.0.2.7"] {
            assert_eq!(ClientAddress::named(text), None, "{text}");
        }
    }
}
