use test_support::BucketStub;

struct Answer {
    status: u16,
    range: Option<String>,
    body: String,
}

fn get(stub: &BucketStub, path: &str, range: Option<&str>) -> Answer {
    let client: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = client.get(format!("{}{path}", stub.sdk_config().endpoint_url().unwrap()));
    let request = match range {
        Some(range) => request.header("range", range),
        None => request,
    };
    let mut answer = request.call().unwrap();
    let range = answer.headers().get("content-range").map(|range| range.to_str().unwrap().to_owned());
    Answer { status: answer.status().as_u16(), range, body: answer.body_mut().read_to_string().unwrap() }
}

fn delete(stub: &BucketStub, bucket: &str, objects: &[(&str, &str)]) {
    let body: String = objects
        .iter()
        .map(|(key, version)| format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>"))
        .collect();
    let address = format!("{}/{bucket}?delete", stub.sdk_config().endpoint_url().unwrap());
    ureq::post(address).send(format!("<Delete>{body}</Delete>")).unwrap();
}

#[test]
fn objects_are_read_in_parts() {
    let stub = BucketStub::start();
    stub.put("pictures", "a/1", "image/png", "0123456789");
    assert_eq!(get(&stub, "/pictures/a/1", None).body, "0123456789");
    let part = get(&stub, "/pictures/a/1", Some("bytes=0-3"));
    assert_eq!((part.status, part.range.as_deref(), &*part.body), (206, Some("bytes 0-3/10"), "0123"));
    let end = get(&stub, "/pictures/a/1", Some("bytes=4-65535"));
    assert_eq!((end.range.as_deref(), &*end.body), (Some("bytes 4-9/10"), "456789"));
    assert_eq!(get(&stub, "/pictures/a/1", Some("bytes=10-20")).status, 416);
    assert_eq!(get(&stub, "/pictures/a/2", None).status, 404);
    stub.fail_calls(1);
    assert_eq!(get(&stub, "/pictures/a/1", None).status, 500);
    assert_eq!(get(&stub, "/pictures/a/1", None).status, 200);
}

#[test]
fn versions_are_listed_page_by_page_and_removed_one_by_one() {
    let stub = BucketStub::start();
    for key in ["a/1", "a/1", "a/2", "b/1"] {
        stub.put("pictures", key, "image/png", "x");
    }
    stub.put("others", "a/1", "image/png", "x");
    let page = get(&stub, "/pictures?versions&prefix=a%2F&max-keys=2", None).body;
    assert!(page.contains("<IsTruncated>true") && page.contains("<NextVersionIdMarker>version-1<"), "{page}");
    let next = "/pictures?versions&prefix=a%2F&key-marker=a%2F1&version-id-marker=version-1";
    let rest = get(&stub, next, None).body;
    assert!(rest.contains("<IsTruncated>false") && rest.contains("version-3"), "{rest}");
    assert!(!rest.contains("version-4") && !rest.contains("version-2"), "{rest}");

    delete(&stub, "pictures", &[("a/1", "version-2"), ("a/2", "version-3")]);
    assert_eq!(stub.keys("pictures"), ["a/1", "b/1"], "an older version is left");
    assert_eq!(get(&stub, "/pictures/a/1", None).status, 200);
    delete(&stub, "pictures", &[("a/1", "version-1")]);
    assert_eq!(
        (stub.keys("pictures"), stub.keys("others")),
        (vec!["b/1".to_owned()], vec!["a/1".to_owned()])
    );
}
