use super::*;

fn wait(name: &'static str, value: &str) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
    retry_after(&headers, now)
}

#[test]
fn a_wait_is_seconds_or_a_date() {
    assert_eq!(wait("retry-after", " 30 "), Some(Duration::from_secs(30)));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(wait("retry-after", date), Some(Duration::from_secs(30)));
    assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
    for nonsense in ["", "-1", "soon", "1e9", "99999999999999999999999"] {
        assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
    }
}

#[test]
fn what_a_body_says_is_found_in_its_usual_places() {
    for (body, said) in [
        (r#"{"error":{"message":"a"}}"#, "a"),
        (r#"{"message":"b"}"#, "b"),
        (r#"{"error":"c"}"#, "c"),
        (r#"{"detail":"d"}"#, "d"),
        (r#"[{"error":{"message":"e"}}]"#, "e"),
        (r#"{"x":1}"#, r#"{"x":1}"#),
        ("plain", "plain"),
    ] {
        assert_eq!(message(body), said);
    }
}
