use std::{fs, path::Path};

use anyhow::{Context, Result};
use md5::{Digest as _, Md5};
use yaml_serde::Value;

use crate::aws::Aws;

use super::{
    Verdict,
    stack::{self, Stack},
};

/// Properties that name files here and what was uploaded of them there.
const UPLOADED: [&str; 2] = ["CodeUri", "TemplateURL"];

/// Whether the deployed template, with its nested ones, and the deployed code are those of a checkout.
pub(super) async fn compare(aws: &Aws, stack: &Stack, checkout: &Path) -> (Result<Verdict>, Result<Verdict>) {
    let templates = async {
        let path = checkout.join("template.yaml");
        let own = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
        let own: Value = yaml_serde::from_str(&own)?;
        let deployed: Value = yaml_serde::from_str(&stack::template(aws, &stack.name).await?)?;
        anyhow::Ok((own, deployed))
    };
    match templates.await {
        Ok((own, deployed)) => {
            (template(aws, stack, checkout, &own, &deployed).await, code(checkout, &own, &deployed))
        }
        Err(error) => {
            let again = anyhow::anyhow!("{error:#}");
            (Err(error), Err(again))
        }
    }
}

async fn template(
    aws: &Aws,
    stack: &Stack,
    checkout: &Path,
    own: &Value,
    deployed: &Value,
) -> Result<Verdict> {
    let mut differences = differences(own, deployed);
    for (resource, name) in stack::nested(aws, &stack.name).await? {
        let Some(file) = own["Resources"][resource.as_str()]["Properties"]["TemplateURL"].as_str() else {
            continue;
        };
        let own: Value = yaml_serde::from_str(&fs::read_to_string(checkout.join(file))?)?;
        let deployed: Value = yaml_serde::from_str(&stack::template(aws, &name).await?)?;
        differences
            .extend(self::differences(&own, &deployed).into_iter().map(|part| format!("{file}: {part}")));
    }
    if differences.is_empty() {
        return Ok(Verdict::well("as in this checkout"));
    }
    differences.sort();
    let more = differences.len().saturating_sub(3);
    differences.truncate(3);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Ok(Verdict::doubtful(
        format!("differs from this checkout in {}{more}", differences.join(", ")),
        "check out what was deployed, or deploy this (`sam deploy`; locally `cargo xtask up`)",
    ))
}

/// Whether what is built here is what was deployed. `sam` names each upload by what is in it.
fn code(checkout: &Path, own: &Value, deployed: &Value) -> Result<Verdict> {
    let (mut same, mut stale, mut not_built) = (Vec::new(), Vec::new(), Vec::new());
    for (resource, definition) in own["Resources"].as_mapping().into_iter().flatten() {
        let Some(folder) = definition["Properties"]["CodeUri"].as_str() else { continue };
        let function = folder.rsplit('/').next().unwrap_or_default().to_owned();
        let name = resource.as_str().unwrap_or_default();
        let uploaded = deployed["Resources"][name]["Properties"]["CodeUri"].as_str().unwrap_or_default();
        let place = match fs::read(checkout.join(folder).join("bootstrap")) {
            Err(_) => &mut not_built,
            Ok(code) if uploaded.ends_with(&upload_name("bootstrap", &code)) => &mut same,
            Ok(_) => &mut stale,
        };
        if !place.contains(&function) {
            place.push(function);
        }
    }
    if !stale.is_empty() {
        return Ok(Verdict::doubtful(
            format!("{} in target/lambda is not what was deployed", stale.join(", ")),
            "deploy it, or build what was deployed; code of another machine or compiler differs, too",
        ));
    }
    if same.is_empty() {
        return Ok(Verdict::well("nothing is built here to compare it with"));
    }
    let rest = if not_built.is_empty() {
        String::new()
    } else {
        format!("; not built here: {}", not_built.join(", "))
    };
    Ok(Verdict::well(format!("what is built here is deployed{rest}")))
}

/// What `sam` calls the upload of a folder with one file.
fn upload_name(file: &str, content: &[u8]) -> String {
    let of_content = hex(&Md5::digest(content));
    hex(&Md5::digest(format!("{file}{of_content}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parts that two templates have not in common: `Resources.OrderTable`, `Outputs.ApiId` …
fn differences(own: &Value, deployed: &Value) -> Vec<String> {
    let (own, deployed) = (plain(own), plain(deployed));
    let mut found = Vec::new();
    for section in names(&own, &deployed) {
        let (own, deployed) = (&own[section.as_str()], &deployed[section.as_str()]);
        if own == deployed {
            continue;
        }
        if !own.is_object() || !deployed.is_object() {
            found.push(section);
            continue;
        }
        let differing =
            names(own, deployed).into_iter().filter(|name| own[name.as_str()] != deployed[name.as_str()]);
        found.extend(differing.map(|name| format!("{section}.{name}")));
    }
    found
}

fn names(one: &serde_json::Value, other: &serde_json::Value) -> Vec<String> {
    let both = [one, other].into_iter().filter_map(serde_json::Value::as_object);
    let names: std::collections::BTreeSet<_> = both.flat_map(|members| members.keys().cloned()).collect();
    names.into_iter().collect()
}

/// A template as it means: short forms of functions in their long ones, texts for all scalars, and without what `sam`
/// puts in the place of files.
fn plain(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.to_string().into(),
        Value::Number(value) => value.to_string().into(),
        Value::String(value) => value.as_str().into(),
        Value::Sequence(members) => members.iter().map(plain).collect(),
        Value::Mapping(members) => {
            let text = |key: &Value| plain(key).as_str().unwrap_or_default().to_owned();
            let member = |(key, member): (&Value, &Value)| {
                let key = text(key);
                let is_uploaded = UPLOADED.contains(&key.as_str());
                (key, if is_uploaded { Json::Null } else { plain(member) })
            };
            Json::Object(members.iter().map(member).collect())
        }
        Value::Tagged(tagged) => {
            let short = tagged.tag.to_string();
            let short = short.trim_start_matches('!');
            let long = match short {
                "Ref" | "Condition" => short.to_owned(),
                short => format!("Fn::{short}"),
            };
            let mut inner = plain(&tagged.value);
            if let (true, Some((resource, attribute))) =
                (short == "GetAtt", inner.as_str().and_then(|text| text.split_once('.')))
            {
                inner = Json::from(vec![resource, attribute]);
            }
            Json::Object([(long, inner)].into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        yaml_serde::from_str(text).unwrap()
    }

    #[test]
    fn short_and_long_forms_are_the_same() {
        let own = yaml("Resources: {A: {X: !GetAtt B.Arn, Y: !If [C, !Ref D, 'true'], CodeUri: target/a}}");
        let deployed = yaml(
            "Resources: {A: {X: {'Fn::GetAtt': [B, Arn]}, Y: {'Fn::If': [C, {Ref: D}, true]}, CodeUri: s3://b/1}}",
        );
        assert!(differences(&own, &deployed).is_empty());
    }

    #[test]
    fn what_differs_is_named() {
        let own = yaml("{Resources: {A: {X: 1}, B: {}}, Description: one}");
        let deployed = yaml("{Resources: {A: {X: 2}, C: {}}, Description: two}");
        let found = differences(&own, &deployed);
        assert_eq!(found, ["Description", "Resources.A", "Resources.B", "Resources.C"]);
    }

    #[test]
    fn an_upload_is_called_as_sam_does() {
        // python: dir_checksum of a folder with the file `bootstrap`, which holds `hello`
        assert_eq!(upload_name("bootstrap", b"hello"), HELLO);
    }

    const HELLO: &str = "328781564b2b156248c57a0e6b8a13d2";
}
