use std::{collections::HashSet, thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    cloud::{Cloud, ENVIRONMENT},
    processes,
};

const POLL: Duration = Duration::from_millis(500);

/// Prints what a function logged in the running shop.
pub(crate) fn run(function: &str, follow: bool) -> Result<()> {
    let cloud = Cloud::running().context("the shop is not running: start it with `cargo xtask up`")?;
    let aws = cloud.aws();
    let group = format!("/aws/lambda/{ENVIRONMENT}-{function}");
    // The local cloud keeps one log stream per invocation and writes it at once, at the invocation's end.
    let mut printed = HashSet::new();
    loop {
        let found = aws.json("logs", "Logs_20140328.FilterLogEvents", &json!({ "logGroupName": group }))?;
        let mut streams = HashSet::new();
        for event in found["events"].as_array().into_iter().flatten() {
            let stream = event["logStreamName"].as_str().unwrap_or_default().to_owned();
            let message = event["message"].as_str().unwrap_or_default();
            let of_lambda = ["START ", "END "].iter().any(|prefix| message.starts_with(prefix));
            if !of_lambda && !printed.contains(&stream) {
                println!("{message}");
            }
            streams.insert(stream);
        }
        printed = streams;
        if !follow || processes::interrupted() {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}
