use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use ureq::Agent;

/// Calls are not signed: the local cloud that `up` runs takes the account and region out of this header and checks
/// nothing.
const CREDENTIALS: &str = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/";

/// The AWS services of a local cloud.
pub(crate) struct Aws {
    endpoint: String,
    agent: Agent,
}

impl Aws {
    /// The services behind an endpoint.
    pub(crate) fn new(endpoint: String) -> Self {
        let agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into();
        Self { endpoint, agent }
    }

    /// A secret that holds JSON.
    pub(crate) fn secret(&self, id: &str) -> Result<Value> {
        let answer =
            self.json("secretsmanager", "secretsmanager.GetSecretValue", &json!({ "SecretId": id }))?;
        let text = answer["SecretString"].as_str().context("the secret has no text")?;
        Ok(serde_json::from_str(text)?)
    }

    /// A call of a service that speaks JSON.
    pub(crate) fn json(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        let answer = self
            .agent
            .post(&self.endpoint)
            .header("authorization", authorization(service))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", operation)
            .send(input.to_string())
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .with_context(|| format!("{operation} failed"))?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&answer)?) }
    }

    /// A call of a service that speaks forms and XML.
    pub(crate) fn query(&self, service: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.agent
            .post(&self.endpoint)
            .header("authorization", authorization(service))
            .send_form(parameters.iter().copied())
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .with_context(|| format!("{service}: {:?} failed", parameters.first()))
    }
}

/// The text of the first element of a name. Enough for identifiers, which nothing in XML needs to escape.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

fn authorization(service: &str) -> String {
    format!("{CREDENTIALS}{service}/aws4_request, SignedHeaders=host, Signature=none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_its_whole_name() {
        let xml = "<Result><ArnList/><Arn>arn:aws:sns:1</Arn></Result>";
        assert_eq!(element(xml, "Arn"), Some("arn:aws:sns:1"));
        assert_eq!(element(xml, "Ar"), None);
    }
}
