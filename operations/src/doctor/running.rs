use std::{collections::BTreeMap, str::FromStr as _, time::Duration};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use serde_json::json;
use service_config::ApiSecret;

use crate::aws::{ALARMS, Aws, Refused, SECRETS};

use super::{Verdict, stack::Stack};

/// The parts of the API, each a service's …
const COLLECTIONS: [&str; 3] = ["users", "products", "orders"];
/// … and that of the service which is optional.
const REPORTS: &str = "reports";
/// Clocks that differ more than this are worth a look …
const SKEW: Duration = Duration::from_secs(5);
/// … and than this make other things fail: AWS refuses signatures that are five minutes off.
const BAD_SKEW: Duration = Duration::from_secs(60);

/// Whether all services are ready to serve, through the front door.
pub(super) async fn api(aws: &Aws, stack: &Stack) -> Result<Verdict> {
    let url = aws.api_url(stack.output("ApiId")?, stack.output("ApiUrl")?);
    let optional = stack.has_reports().then_some(REPORTS);
    let answers = join_all(COLLECTIONS.into_iter().chain(optional).map(|collection| {
        let path = format!("{url}/api/{collection}/health/ready");
        async move { (collection, aws.get(&path).await) }
    }));
    let mut troubles = Vec::new();
    for (collection, answer) in answers.await {
        match answer {
            Ok(200) => {}
            Ok(status) => troubles.push(format!("/api/{collection} answers {status}")),
            Err(error) => troubles.push(format!("/api/{collection}: {error:#}")),
        }
    }
    if troubles.is_empty() {
        return Ok(Verdict::well(format!("{url}: all services are ready")));
    }
    Ok(Verdict::ill(
        format!("{url}: {}", troubles.join(", ")),
        "what the services log says why (`cargo xtask logs …`, or `aws logs tail`); docs/RUNBOOK.md, 503",
    ))
}

/// Whether this machine and the cloud agree about the time.
pub(super) fn clock(stack: &Stack) -> Verdict {
    let Some((there, here)) = stack.clocks else { return Verdict::well("the cloud does not tell its time") };
    let skew = here.duration_since(there).unwrap_or_else(|error| error.duration());
    let says = format!("{} s between this machine and the cloud", skew.as_secs());
    let advice = "set this machine's clock (NTP); with more than five minutes AWS refuses its requests";
    match skew {
        skew if skew >= BAD_SKEW => Verdict::ill(says, advice),
        skew if skew >= SKEW => Verdict::doubtful(says, advice),
        _ => Verdict::well(says),
    }
}

/// Whether the services' secret is there and can be read by them. No value of it is kept or shown.
pub(super) async fn secret(aws: &Aws, environment: &str) -> Result<Verdict> {
    let id = format!("{environment}/microservices/api-gateway");
    let advice =
        "docs/OPERATIONS.md, Secrets: put it back as it was; services go on with what they have read";
    let answer = match aws.json(SECRETS, "GetSecretValue", &json!({ "SecretId": id })).await {
        Err(error)
            if error.downcast_ref::<Refused>().is_some_and(|refused| refused.is("ResourceNotFound")) =>
        {
            return Ok(Verdict::ill(format!("there is no {id}"), advice));
        }
        answer => answer?,
    };
    let text = answer["SecretString"].as_str().unwrap_or_default();
    if let Err(error) = ApiSecret::from_str(text) {
        return Ok(Verdict::ill(format!("{id}: {error}"), advice));
    }
    let described = aws.json(SECRETS, "DescribeSecret", &json!({ "SecretId": id })).await?;
    let stages: BTreeMap<String, Vec<String>> =
        serde_json::from_value(described["VersionIdsToStages"].clone())
            .context("versions of another shape")?;
    // A pending version beside the current one is a rotation under way, or one that broke off.
    if stages.values().any(|stages| stages.iter().any(|stage| stage == "AWSPENDING") && stages.len() == 1) {
        return Ok(Verdict::doubtful(
            format!("{id}: a rotation is not finished"),
            format!("if it stays so: `aws secretsmanager rotate-secret --secret-id {id}` completes it"),
        ));
    }
    Ok(Verdict::well(format!("{id} has what services need")))
}

/// Which alarms are on.
pub(super) async fn alarms(aws: &Aws, environment: &str) -> Result<Verdict> {
    let mut input = json!({ "AlarmNamePrefix": format!("{environment}-"), "MaxRecords": 100 });
    let (mut number, mut on) = (0, Vec::new());
    loop {
        let page = aws.json(ALARMS, "DescribeAlarms", &input).await?;
        for alarm in page["MetricAlarms"].as_array().into_iter().flatten() {
            number += 1;
            if alarm["StateValue"] == "ALARM" {
                on.push(alarm["AlarmName"].as_str().unwrap_or_default().to_owned());
            }
        }
        let Some(next) = page["NextToken"].as_str() else { break };
        input["NextToken"] = next.into();
    }
    if !on.is_empty() {
        return Ok(Verdict::ill(on.join(", "), "docs/OPERATIONS.md, Alarms, says for each what to do"));
    }
    if number == 0 {
        return Ok(Verdict::doubtful(
            "there are none",
            "deploy the stack anew: nobody is told of what goes wrong",
        ));
    }
    let measured = if aws.is_local() { " (few are computed on the local cloud)" } else { "" };
    Ok(Verdict::well(format!("none of {number} is on{measured}")))
}
