use test_support::Logs;

#[test]
fn what_a_function_would_log_is_seen_as_long_as_anybody_looks() {
    let logs = Logs::capture();
    let span = tracing::info_span!("request", path = "/api");
    span.in_scope(|| tracing::warn!(reason = "expired", count = 2, "refused"));
    tracing::debug!("not compiled into a function");
    let lines = logs.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "INFO it::logs: path=/api");
    for part in ["WARN it::logs:", " message=refused", " reason=expired", " count=2"] {
        assert!(lines[1].contains(part), "{lines:?}");
    }
    drop(logs);
    tracing::warn!("to nobody");
    assert!(Logs::capture().take().is_empty());
}
