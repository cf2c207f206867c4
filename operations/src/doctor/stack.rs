use std::{collections::HashMap, time::SystemTime};

use anyhow::{Context, Result};
use aws_smithy_types::{DateTime, date_time::Format};
use roxmltree::{Document, Node};

use crate::aws::Aws;

use super::Verdict;

/// By what the shop's stack is known among others.
const OUTPUT: &str = "OrderEventsTopicArn";

/// A deployed stack of the shop.
pub(super) struct Stack {
    pub(super) name: String,
    status: String,
    reason: String,
    pub(super) parameters: HashMap<String, String>,
    pub(super) outputs: HashMap<String, String>,
    /// What time it was at AWS, and what time it was here.
    pub(super) clocks: Option<(SystemTime, SystemTime)>,
}

/// The stack of an environment, whatever its name is.
pub(super) async fn find(aws: &Aws, environment: &str) -> Result<Stack> {
    let mut next = None::<String>;
    loop {
        let parameters: Vec<_> = next.iter().map(|token| ("NextToken", token.as_str())).collect();
        let answer = aws.form("DescribeStacks", &parameters).await?;
        let now = SystemTime::now();
        let date = answer.headers.get("date").and_then(|date| date.to_str().ok());
        let there = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let clocks = there.and_then(|there| SystemTime::try_from(there).ok()).map(|there| (there, now));
        let document = Document::parse(&answer.body)?;
        let stacks = document.descendants().filter(|node| node.has_tag_name_of("Stacks"));
        for stack in stacks.flat_map(|stacks| stacks.children().filter(Node::is_element)) {
            let stack = Stack::read(stack, clocks);
            if stack.outputs.contains_key(OUTPUT)
                && stack.parameters.get("Environment").is_some_and(|of| of == environment)
                && !stack.status.starts_with("DELETE_COMPLETE")
            {
                return Ok(stack);
            }
        }
        next = document.descendants().find(|node| node.has_tag_name_of("NextToken")).map(text);
        if next.is_none() {
            break;
        }
    }
    anyhow::bail!(
        "no stack here is the shop's for the environment {environment}: is it deployed, and in this region?"
    )
}

/// The template that was deployed, as `sam` has packaged it.
pub(super) async fn template(aws: &Aws, stack: &str) -> Result<String> {
    let parameters = [("StackName", stack), ("TemplateStage", "Original")];
    let answer = aws.form("GetTemplate", &parameters).await?;
    let document = Document::parse(&answer.body)?;
    let body = document.descendants().find(|node| node.has_tag_name_of("TemplateBody"));
    Ok(text(body.context("an answer without a template")?))
}

/// The stacks that are resources of a stack: their names by that of the resource.
pub(super) async fn nested(aws: &Aws, stack: &str) -> Result<HashMap<String, String>> {
    let answer = aws.form("DescribeStackResources", &[("StackName", stack)]).await?;
    let document = Document::parse(&answer.body)?;
    let resources = document.descendants().filter(|node| node.has_tag_name_of("StackResources"));
    let resources = resources.flat_map(|resources| resources.children().filter(Node::is_element));
    let stacks =
        resources.filter(|resource| child(*resource, "ResourceType") == "AWS::CloudFormation::Stack");
    Ok(stacks.map(|stack| (child(stack, "LogicalResourceId"), child(stack, "PhysicalResourceId"))).collect())
}

impl Stack {
    fn read(node: Node<'_, '_>, clocks: Option<(SystemTime, SystemTime)>) -> Self {
        let pairs = |list: &str, key: &str, value: &str| {
            let members = node.children().filter(|node| node.has_tag_name_of(list));
            let members = members.flat_map(|list| list.children().filter(Node::is_element));
            members.map(|member| (child(member, key), child(member, value))).collect()
        };
        Self {
            name: child(node, "StackName"),
            status: child(node, "StackStatus"),
            reason: child(node, "StackStatusReason"),
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
            outputs: pairs("Outputs", "OutputKey", "OutputValue"),
            clocks,
        }
    }

    pub(super) fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    /// Whether it has reports.
    pub(super) fn has_reports(&self) -> bool {
        self.parameters.get("Reporting").is_some_and(|on| on == "true")
    }

    pub(super) fn verdict(&self) -> Verdict {
        let Self { name, status, reason, .. } = self;
        let says = format!("{name}: {status}");
        match status.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" => Verdict::well(says),
            "UPDATE_ROLLBACK_COMPLETE" => Verdict::doubtful(
                format!("{says}: the last deployment was taken back {reason}"),
                format!(
                    "`aws cloudformation describe-stack-events --stack-name {name}` says why; deploy again"
                ),
            ),
            status if status.ends_with("_IN_PROGRESS") => {
                Verdict::doubtful(says, "wait until it is over, then look again")
            }
            _ => Verdict::ill(
                format!("{says} {reason}"),
                format!(
                    "`aws cloudformation describe-stack-events --stack-name {name}`, then docs/OPERATIONS.md, Deployments"
                ),
            ),
        }
    }
}

/// CloudFormation's answers are in a namespace that nobody needs to know.
trait LocalName {
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn child(node: Node<'_, '_>, name: &str) -> String {
    node.children().find(|child| child.has_tag_name_of(name)).map(text).unwrap_or_default()
}

fn text(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().to_owned()
}
