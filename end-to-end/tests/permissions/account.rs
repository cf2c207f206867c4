use std::{collections::HashSet, fmt};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use serde_json::{Value, json};

use crate::{client::PATIENCE, cloud};

/// The owner of the local cloud's account may do everything, and its requests need no signature.
const OWNER: &str = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/";

/// A role of the deployed stack or of one nested in it.
pub(crate) struct Role {
    /// Its name in the template.
    pub(crate) logical_id: String,
    /// Its name in the account.
    name: String,
    /// Inline policies by name.
    policies: Vec<(String, Value)>,
    /// Names of the policies of AWS that are attached to it.
    managed: Vec<String>,
}

/// One action on one resource that a role allows.
pub(crate) struct Permission {
    role: String,
    role_name: String,
    policy: String,
    document: Value,
    statement: usize,
    sid: String,
    pub(crate) action: String,
    /// As the policy names it.
    pub(crate) resource: String,
}

/// A permission that the role does not have at the moment. It gets it back when this is dropped.
#[must_use]
pub(crate) struct Withdrawn<'a>(&'a Permission);

/// A part of the stack that is not always there, and that permissions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A role for something optional.
    Role(&'static str),
    /// A key of the account that everything is encrypted under.
    Key,
    /// A VPC, whether a function is in it or not.
    Network,
    /// X-Ray.
    Traces,
    /// A cache of products.
    Cache,
}

/// All roles of the account.
pub(crate) fn roles() -> Vec<Role> {
    let xml = query(
        "iam",
        &[
            ("Action", "GetAccountAuthorizationDetails"),
            ("Version", "2010-05-08"),
            ("Filter.member.1", "Role"),
        ],
    );
    assert!(xml.contains("<IsTruncated>false"), "there are more roles than one answer holds");
    let roles: Vec<Role> = xml.split("<RoleName>").skip(1).map(Role::read).collect();
    assert!(!roles.is_empty(), "the account has no role");
    roles
}

/// The optional parts, roles aside, that this deployment has.
pub(crate) fn parts() -> HashSet<Part> {
    let functions = lambda("functions/")["Functions"].as_array().unwrap().clone();
    let aliases = json("kms", "TrentService.ListAliases", &json!({}));
    let key = format!("alias/{}", cloud::name("microservices"));
    let has_cache = |function: &Value| function["Environment"]["Variables"]["CACHE_URL"].is_string();
    let networks = query("ec2", &[("Action", "DescribeVpcs"), ("Version", "2016-11-15")]);
    let found = [
        (Part::Key, aliases["Aliases"].as_array().unwrap().iter().any(|alias| alias["AliasName"] == *key)),
        (Part::Network, texts(&networks, "isDefault").any(|is_default| is_default == "false")),
        (Part::Traces, functions.iter().any(|function| function["TracingConfig"]["Mode"] == "Active")),
        (Part::Cache, functions.iter().any(has_cache)),
    ];
    found.into_iter().filter_map(|(part, there)| there.then_some(part)).collect()
}

impl Role {
    /// Reads what follows a role's `<RoleName>`.
    fn read(xml: &str) -> Self {
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let documents =
            texts(xml, "PolicyDocument").map(|text| serde_json::from_str(&decoded(text)).unwrap());
        let (_, tag) = xml
            .split_once("<Key>aws:cloudformation:logical-id</Key>")
            .unwrap_or_else(|| panic!("a role that is not of the stack: {xml}"));
        let inline = xml.split("<AttachedManagedPolicies>").next().unwrap();
        Self {
            logical_id: texts(tag, "Value").next().unwrap().to_owned(),
            name: xml.split('<').next().unwrap().to_owned(),
            policies: texts(inline, "PolicyName").map(str::to_owned).zip(documents).collect(),
            managed: texts(xml, "PolicyArn").map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect(),
        }
    }

    pub(crate) fn permissions(&self) -> Vec<Permission> {
        let mut permissions = Vec::new();
        let mut add = |policy: &str, document: &Value, statement, sid: &str, action: &str, resource: &str| {
            permissions.push(Permission {
                role: self.logical_id.clone(),
                role_name: self.name.clone(),
                policy: policy.to_owned(),
                document: document.clone(),
                statement,
                sid: sid.to_owned(),
                action: action.to_owned(),
                resource: resource.to_owned(),
            });
        };
        for (policy, document) in &self.policies {
            for (index, statement) in document["Statement"].as_array().unwrap().iter().enumerate() {
                assert_eq!(statement["Effect"], "Allow", "{policy}: permissions are not granted by denials");
                let sid =
                    statement["Sid"].as_str().unwrap_or_else(|| panic!("{policy}: no Sid: {statement}"));
                for action in list(&statement["Action"]) {
                    for resource in list(&statement["Resource"]) {
                        add(policy, document, index, sid, &action, &resource);
                    }
                }
            }
        }
        for name in &self.managed {
            add(name, &Value::Null, 0, "policy of AWS", name, "*");
        }
        permissions
    }
}

/// Credentials with which one has the role. On AWS nobody but Lambda could get them.
pub(crate) fn credentials(role: &Role) -> SharedCredentialsProvider {
    let arn = format!("arn:aws:iam::000000000000:role/{}", role.name);
    let parameters = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", &*arn),
        ("RoleSessionName", "stranger"),
    ];
    let xml = query("sts", &parameters);
    let text = |name| texts(&xml, name).next().unwrap().to_owned();
    let credentials = Credentials::new(
        text("AccessKeyId"),
        text("SecretAccessKey"),
        Some(text("SessionToken")),
        None,
        "role",
    );
    SharedCredentialsProvider::new(credentials)
}

impl Permission {
    /// Takes it from the role, and nothing else.
    pub(crate) fn withdraw(&self) -> Withdrawn<'_> {
        let mut less = self.document.clone();
        let statements = less["Statement"].as_array_mut().unwrap();
        let statement = statements.remove(self.statement);
        for action in list(&statement["Action"]) {
            let resources: Vec<String> = list(&statement["Resource"])
                .into_iter()
                .filter(|resource| (&action, resource) != (&self.action, &self.resource))
                .collect();
            if !resources.is_empty() {
                let mut kept = statement.clone();
                kept["Sid"] = json!(format!("{}{}", self.sid, statements.len()));
                kept["Action"] = json!(action);
                kept["Resource"] = json!(resources);
                statements.push(kept);
            }
        }
        let withdrawn = Withdrawn(self);
        self.put(&less);
        withdrawn
    }

    /// The service whose function has this permission.
    pub(crate) fn service(&self) -> &'static str {
        ["user-service", "product-service", "order-service", "report-service", "secret-rotation"]
            .into_iter()
            .find(|service| self.role.to_lowercase().starts_with(&service.replace('-', "")))
            .unwrap_or_else(|| panic!("{} is no function's role", self.role))
    }

    fn put(&self, document: &Value) {
        query(
            "iam",
            &[
                ("Action", "PutRolePolicy"),
                ("Version", "2010-05-08"),
                ("RoleName", &self.role_name),
                ("PolicyName", &self.policy),
                ("PolicyDocument", &document.to_string()),
            ],
        );
    }
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        self.0.put(&self.0.document);
    }
}

/// As the rows of the table are written: the resource without account, environment, what is new in each deployment, and
/// what runs a function.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource.splitn(6, ':').last().unwrap_or_default();
        let environment = cloud::environment();
        let resource = ["-", "/"].iter().fold(resource.to_owned(), |resource, separator| {
            resource.replacen(&format!("{environment}{separator}"), "", 1)
        });
        let resource = match resource.split_once("/stream/") {
            Some((table, _)) => format!("{table}/stream"),
            None if resource.starts_with("function:") => resource.replace("-lambda-managed", "-lambda"),
            None if resource.starts_with("key/") => "key".to_owned(),
            // RDS names the secret of a database's password itself.
            None if resource.starts_with("secret:rds!cluster-") => "secret:rds!cluster".to_owned(),
            None if resource.starts_with("secret:") => resource.rsplit_once('-').unwrap().0.to_owned(),
            // A bucket bears the account's number.
            None => resource.replacen("-000000000000", "", 1),
        };
        write!(f, "{} {} {} on {resource}", self.role, self.sid, self.action)
    }
}

/// What a service's function has logged since a moment (in milliseconds since 1970).
pub(crate) fn log(service: &str, since: u64) -> Vec<String> {
    let group = format!("/aws/lambda/{}", cloud::name(service));
    let input = json!({ "logGroupName": group, "startTime": since });
    let events = json("logs", "Logs_20140328.FilterLogEvents", &input);
    let events = events["events"].as_array().unwrap();
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

/// Ends the processes of a service's function, as Lambda does with environments: the next call starts one anew.
pub(crate) fn restart(service: &str) {
    let function = format!("AWS_LAMBDA_FUNCTION_NAME={}", cloud::name(&format!("{service}-lambda")));
    let cloud = format!("AWS_ENDPOINT_URL={}", url());
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) =
            process.file_name().to_str().filter(|name| name.parse::<u32>().is_ok()).map(str::to_owned)
        else {
            continue;
        };
        // Others' processes, and those that end at this moment.
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        let has =
            |variable: &str| environment.split(|byte| *byte == 0).any(|known| known == variable.as_bytes());
        if has(&function) && has(&cloud) {
            std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        }
    }
}

/// What the mapping of an event source to its function says about its last attempt.
pub(crate) fn last_result_of_mapping(source: &str) -> String {
    let mappings = lambda("event-source-mappings/");
    let mapping = mappings["EventSourceMappings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["EventSourceArn"] == source);
    let mapping = mapping.unwrap_or_else(|| panic!("nothing reads {source}"));
    mapping["LastProcessingResult"].as_str().unwrap().to_owned()
}

/// Tells a service's function to join the VPC that it is in, or why it can't.
pub(crate) fn rejoin_vpc(service: &str) -> Result<(), String> {
    let path = format!("functions/{}/configuration", cloud::name(&format!("{service}-lambda")));
    let network = &lambda(&path)["VpcConfig"];
    let network =
        json!({ "SubnetIds": network["SubnetIds"], "SecurityGroupIds": network["SecurityGroupIds"] });
    let settings = json!({ "VpcConfig": network });
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let request = ureq::Agent::new_with_config(config.build()).put(format!("{}/2015-03-31/{path}", url()));
    let mut answer =
        request.header("authorization", authorization("lambda")).send(settings.to_string()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    if answer.status().is_success() { Ok(()) } else { Err(text) }
}

/// Begins to rotate the secret of the services; answers the version that is to become the current one.
pub(crate) fn rotate_secret() -> String {
    let started =
        json("secretsmanager", "secretsmanager.RotateSecret", &json!({ "SecretId": cloud::secret_id() }));
    started["VersionId"].as_str().unwrap_or_else(|| panic!("no rotation: {started}")).to_owned()
}

/// Ends a rotation that stands still, so that there can be another.
pub(crate) fn forget_rotation(version: &str) {
    let input = json!({
        "SecretId": cloud::secret_id(), "VersionStage": "AWSPENDING", "RemoveFromVersionId": version,
    });
    json("secretsmanager", "secretsmanager.UpdateSecretVersionStage", &input);
}

/// Whether the table of orders has a row under this id.
pub(crate) fn orders_have(id: &str) -> bool {
    let input = json!({ "TableName": cloud::name("orders"), "Key": { "order_id": { "S": id } } });
    json("dynamodb", "DynamoDB_20120810.GetItem", &input)["Item"].is_object()
}

/// Puts a message into a queue, to be received now whatever the queue's delay.
pub(crate) fn send_now(queue: &str, body: &str) {
    let input = json!({ "QueueUrl": queue_url(queue), "MessageBody": body, "DelaySeconds": 0 });
    json("sqs", "AmazonSQS.SendMessage", &input);
}

/// A queue that hides a message that is being handled for two seconds only. It gets its own time back when this is
/// dropped.
#[must_use]
pub(crate) struct Hurried {
    queue_url: String,
    seconds: Value,
}

/// Makes a queue give its messages again soon.
pub(crate) fn hurry(queue: &str) -> Hurried {
    let queue_url = queue_url(queue);
    let input = json!({ "QueueUrl": queue_url, "AttributeNames": ["VisibilityTimeout"] });
    let mut attributes = json("sqs", "AmazonSQS.GetQueueAttributes", &input);
    let seconds = attributes["Attributes"]["VisibilityTimeout"].take();
    let hurried = Hurried { queue_url, seconds };
    hurried.hide_for(&json!("2"));
    hurried
}

impl Hurried {
    fn hide_for(&self, seconds: &Value) {
        let input = json!({ "QueueUrl": self.queue_url, "Attributes": { "VisibilityTimeout": seconds } });
        json("sqs", "AmazonSQS.SetQueueAttributes", &input);
    }
}

impl Drop for Hurried {
    fn drop(&mut self) {
        self.hide_for(&self.seconds);
    }
}

pub(crate) fn queue_url(queue: &str) -> String {
    let address = json("sqs", "AmazonSQS.GetQueueUrl", &json!({ "QueueName": cloud::name(queue) }));
    address["QueueUrl"].as_str().unwrap().to_owned()
}

/// A call of a service that speaks forms and XML.
fn query(service: &str, parameters: &[(&str, &str)]) -> String {
    let request = agent().post(url()).header("authorization", authorization(service));
    let sent = request.send_form(parameters.iter().copied());
    sent.and_then(|mut answer| answer.body_mut().read_to_string())
        .unwrap_or_else(|error| panic!("{:?}: {error}", parameters[0]))
}

/// A call of a service that speaks JSON.
fn json(service: &str, operation: &str, input: &Value) -> Value {
    let request = agent()
        .post(url())
        .header("authorization", authorization(service))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", operation);
    let text = request
        .send(input.to_string())
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .unwrap_or_else(|error| panic!("{operation}: {error}"));
    serde_json::from_str(&text).unwrap_or_default()
}

/// What Lambda has under a path.
fn lambda(path: &str) -> Value {
    let request =
        agent().get(format!("{}/2015-03-31/{path}", url())).header("authorization", authorization("lambda"));
    let text = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into()
}

fn url() -> String {
    std::env::var("SHOP_CLOUD_URL").unwrap()
}

fn authorization(service: &str) -> String {
    format!("{OWNER}{service}/aws4_request, SignedHeaders=host, Signature=none")
}

/// The texts of all elements of a name.
fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let rest: Vec<_> = xml.split(&format!("<{name}>")).skip(1).collect();
    rest.into_iter().map(|rest| rest.split('<').next().unwrap_or_default())
}

/// A text, or each text of a list.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(list).collect(),
        text => vec![text.as_str().unwrap_or_else(|| panic!("neither text nor list: {text}")).to_owned()],
    }
}
