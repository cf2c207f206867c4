//! The price list, and what the computation takes for granted.

/// A price, as AWS lists it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Price {
    /// What is paid for.
    pub(crate) unit: &'static str,
    /// US dollars …
    pub(crate) dollars: f64,
    /// … for so many units.
    pub(crate) per: f64,
    /// AWS's public page that lists it.
    pub(crate) page: &'static str,
}

const fn price(unit: &'static str, dollars: f64, per: f64, page: &'static str) -> Price {
    Price { unit, dollars, per, page }
}

impl Price {
    /// What so many units cost.
    pub(crate) fn of(&self, units: f64) -> f64 {
        units * self.dollars / self.per
    }
}

pub(crate) const MILLION: f64 = 1e6;
const GIGABYTE: f64 = 1e9;

/// The region of the prices.
pub(crate) const REGION: &str = "us-east-1 (N. Virginia)";
/// When the prices were looked up.
pub(crate) const LOOKED_UP: &str = "22 November 2026";

pub(crate) const GATEWAY: Price =
    price("HTTP API requests, each up to 512 KB", 1.0, MILLION, "API Gateway pricing");
pub(crate) const REQUESTS: Price = price("Lambda requests", 0.2, MILLION, "Lambda pricing");
pub(crate) const TIME: Price = price("Lambda GB-seconds, arm64", 0.000_013_333_4, 1.0, "Lambda pricing");
pub(crate) const WRITES: Price =
    price("DynamoDB write request units", 0.625, MILLION, "DynamoDB pricing, on-demand");
pub(crate) const READS: Price =
    price("DynamoDB read request units", 0.125, MILLION, "DynamoDB pricing, on-demand");
pub(crate) const PUBLICATIONS: Price =
    price("SNS publications, each up to 64 KB", 0.5, MILLION, "SNS pricing, standard topics");
pub(crate) const QUEUES: Price =
    price("SQS requests, each up to 64 KB", 0.4, MILLION, "SQS pricing, standard queues");
pub(crate) const OBJECT_WRITES: Price =
    price("S3 requests that put or list objects", 0.005, 1_000.0, "S3 pricing, S3 Standard");
pub(crate) const OBJECT_READS: Price =
    price("S3 requests that get objects", 0.000_4, 1_000.0, "S3 pricing, S3 Standard");
pub(crate) const LOGS: Price =
    price("bytes into CloudWatch Logs", 0.5, GIGABYTE, "CloudWatch pricing, Lambda and vended logs");
pub(crate) const METRICS: Price = price("metrics of one's own and months", 0.3, 1.0, "CloudWatch pricing");
pub(crate) const ALARMS: Price = price("metrics of alarms and months", 0.1, 1.0, "CloudWatch pricing");
pub(crate) const DASHBOARDS: Price = price("dashboards and months", 3.0, 1.0, "CloudWatch pricing");
pub(crate) const TRACES: Price = price("X-Ray traces recorded", 5.0, MILLION, "X-Ray pricing");
pub(crate) const TRANSFER: Price =
    price("bytes out to the internet", 0.09, GIGABYTE, "EC2 pricing, data transfer");
pub(crate) const SECRETS: Price = price("secrets and months", 0.4, 1.0, "Secrets Manager pricing");
pub(crate) const SECRET_CALLS: Price =
    price("Secrets Manager calls", 0.05, 10_000.0, "Secrets Manager pricing");
pub(crate) const KEY_CALLS: Price = price("KMS requests", 0.03, 10_000.0, "KMS pricing");
pub(crate) const GATEWAYS: Price = price("NAT gateways and hours", 0.045, 1.0, "VPC pricing");
pub(crate) const ADDRESSES: Price = price("public addresses and hours", 0.005, 1.0, "VPC pricing");
pub(crate) const CACHE_NODES: Price =
    price("nodes of cache.r7g.large and hours", 0.219, 1.0, "ElastiCache pricing, Redis");
pub(crate) const CAPACITY: Price =
    price("Aurora capacity units and hours", 0.12, 1.0, "Aurora pricing, Serverless v2, standard");
pub(crate) const PROXIES: Price =
    price("capacity units behind RDS Proxy and hours", 0.015, 1.0, "RDS Proxy pricing");

/// All of them.
pub(crate) const PRICES: [Price; 23] = [
    GATEWAY,
    REQUESTS,
    TIME,
    WRITES,
    READS,
    PUBLICATIONS,
    QUEUES,
    OBJECT_WRITES,
    OBJECT_READS,
    LOGS,
    METRICS,
    ALARMS,
    DASHBOARDS,
    TRACES,
    TRANSFER,
    SECRETS,
    SECRET_CALLS,
    KEY_CALLS,
    GATEWAYS,
    ADDRESSES,
    CACHE_NODES,
    CAPACITY,
    PROXIES,
];

/// Milliseconds until DynamoDB has answered a call.
pub(crate) const STORE_MS: f64 = 4.0;
/// Milliseconds until SNS has answered a call.
pub(crate) const TOPIC_MS: f64 = 10.0;

/// Milliseconds until S3 has answered a call.
pub(crate) const OBJECT_MS: f64 = 30.0;

/// Gigabytes that a function is configured with.
pub(crate) const MEMORY_GB: f64 = 0.5;
/// The part of a core that comes with them: 1,769 MB have a whole one.
pub(crate) const CORE: f64 = 512.0 / 1769.0;

/// Of the invocations beyond the first in each second, this part is traced.
pub(crate) const TRACED: f64 = 0.05;

/// The HTTP API's log line of a request, in the format of the template.
pub(crate) const ACCESS_LINE: &str = r#"{"api_request_id":"JKJaXmPLvHcESHA=", "request_id":"2f1c3b6e-7b1d-4a53-9d0e-5a1f6c7d8e90", "time":"22/Nov/2026:09:44:00 +0000", "source_ip":"203.0.113.17", "method":"GET", "path":"/api/products/0198b2c1-4a10-7c2e-8f31-5b7d9e0a1c02", "route":"ANY /api/products/{proxy+}", "status":"200", "response_bytes":"612", "latency_ms":"9", "integration_latency_ms":"8", "integration_status":"200", "integration_error":"-"}"#;

/// Bytes of the headers of an answer, those of the front door included.
pub(crate) const HEADER_BYTES: f64 = 400.0;
