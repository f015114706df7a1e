//! What the child says of its own accord, and who hears it.

use futures::Stream;

use super::*;

async fn next(events: &mut (impl Stream<Item = Bytes> + Unpin)) -> String {
    let next = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    text_of(next.expect("in time").expect("an event"))
}

fn updated(uri: &str) -> String {
    format!(
        "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\
         \"params\":{{\"uri\":\"{uri}\"}}}}\n\n"
    )
}

async fn subscription(
    server: &StdioServer,
    caller: &CallerKey,
    word: &'static str,
    uri: &str,
) -> String {
    let params = format!(r#"{{"uri":"{uri}"}}"#);
    match ask(server, caller, LEGACY, ("1", word, &params)).await {
        Ok(Reply::Json(bytes)) => text_of(bytes),
        Ok(_) => panic!("no answer"),
        Err(rejection) => rejection.reason().to_owned(),
    }
}

const SUBSCRIBE: &str = "resources/subscribe";
const UNSUBSCRIBE: &str = "resources/unsubscribe";
const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

#[tokio::test]
async fn changes_go_to_all_and_updates_to_subscribers() {
    let Some(server) = child("legacy") else { return };
    let (mut alices, mut bobs) =
        (Box::pin(server.listen(&alice())), Box::pin(server.listen(&bob())));
    assert_eq!(subscription(&server, &alice(), SUBSCRIBE, "a:1").await, DONE);
    assert_eq!(subscription(&server, &bob(), SUBSCRIBE, "b:1").await, DONE);
    let params = r#"{"name":"announce","arguments":{"uris":["c:1","b:1","a:1"]}}"#;
    call_tool(&server, LEGACY, "1", params).await;
    let changed = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    for (events, uri) in [(&mut alices, "a:1"), (&mut bobs, "b:1")] {
        assert_eq!(next(events).await, changed, "it says no more than that");
        assert_eq!(next(events).await, updated(uri));
    }
}

#[tokio::test]
async fn the_child_is_asked_for_the_first_and_told_after_the_last() {
    let Some(server) = child("legacy") else { return };
    for caller in [alice(), bob(), alice()] {
        assert_eq!(subscription(&server, &caller, SUBSCRIBE, "a:1").await, DONE);
    }
    assert_eq!(subscription(&server, &alice(), UNSUBSCRIBE, "a:1").await, DONE);
    assert_eq!(subscription(&server, &alice(), UNSUBSCRIBE, "a:1").await, DONE);
    assert_eq!(subscription(&server, &bob(), SUBSCRIBE, "b:1").await, DONE);
    for _ in 0..2 {
        let refused = subscription(&server, &bob(), SUBSCRIBE, "no:such").await;
        assert!(refused.contains("-32002"), "{refused}");
    }
    server.forget(&bob());
    let heard = heard_until(&server, |heard| heard.contains("-b:1")).await;
    assert!(
        heard.contains(r#""uris":["+a:1","+b:1","+no:such","+no:such","-a:1","-b:1"]"#),
        "{heard}"
    );
}

#[tokio::test]
async fn subscriptions_outlive_the_child() {
    let Some(server) = child("legacy") else { return };
    let mut events = Box::pin(server.listen(&alice()));
    assert_eq!(subscription(&server, &alice(), SUBSCRIBE, "a:1").await, DONE);
    let die = ("1", "tools/call", r#"{"name":"die"}"#);
    assert_eq!(reason(&server, LEGACY, die).await, "upstream-unreachable");
    let heard = call_tool(&server, LEGACY, "1", r#"{"name":"heard"}"#).await;
    assert!(heard.contains(r#""uris":["+a:1"]"#), "{heard}");
    call_tool(&server, LEGACY, "1", r#"{"name":"announce","arguments":{"uris":["a:1"]}}"#).await;
    next(&mut events).await;
    assert_eq!(next(&mut events).await, updated("a:1"));
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_and_stops_nobody() {
    let Some(server) = child("legacy") else { return };
    let slow = server.listen(&alice());
    let mut quick = Box::pin(server.listen(&bob()));
    for _ in 0..4 {
        call_tool(&server, LEGACY, "1", r#"{"name":"announce","arguments":{"many":50}}"#).await;
        for _ in 0..51 {
            next(&mut quick).await;
        }
    }
    server.forget(&alice());
    let kept: Vec<String> = slow.map(text_of).collect().await;
    assert_eq!(kept.len(), 64, "and its end comes after what was kept");
    assert!(kept.last().unwrap().contains("prompts/list_changed"));
}

#[tokio::test]
async fn nobody_subscribes_without_end() {
    let Some(server) = child("legacy") else { return };
    for n in 0..100 {
        assert_eq!(subscription(&server, &alice(), SUBSCRIBE, &format!("a:{n}")).await, DONE);
    }
    assert_eq!(subscription(&server, &alice(), SUBSCRIBE, "a:100").await, "overloaded");
    assert_eq!(subscription(&server, &alice(), SUBSCRIBE, "a:0").await, DONE, "one it has");
    assert_eq!(subscription(&server, &bob(), SUBSCRIBE, "a:100").await, DONE);
    server.forget(&alice());
    assert_eq!(subscription(&server, &alice(), SUBSCRIBE, "a:100").await, DONE);
}

#[tokio::test]
async fn a_new_listener_takes_the_place_of_the_last() {
    let Some(server) = child("legacy") else { return };
    let old = server.listen(&alice());
    let mut new = Box::pin(server.listen(&alice()));
    assert_eq!(old.count().await, 0);
    call_tool(&server, LEGACY, "1", r#"{"name":"announce"}"#).await;
    assert!(next(&mut new).await.contains("tools/list_changed"));
}

#[tokio::test]
async fn a_modern_child_is_asked_to_tell_of_changes() {
    let Some(server) = child("modern") else { return };
    let mut events = Box::pin(server.listen(&alice()));
    call_tool(&server, LEGACY, "1", r#"{"name":"announce"}"#).await;
    assert!(next(&mut events).await.contains("tools/list_changed"));
    server.stop().await;
    assert!(events.next().await.is_none(), "nobody listens to one who has gone");
}

#[tokio::test]
async fn a_modern_caller_hears_what_it_asked_for_for_as_long_as_it_listens() {
    let Some(server) = child("legacy") else { return };
    let wanted = r#"{"notifications":{"promptsListChanged":true,"toolsListChanged":false,
        "resourceSubscriptions":["a:1","no:such"]}}"#;
    let Ok(Reply::Events(mut events)) =
        ask(&server, &alice(), MODERN, ("\"s\"", "subscriptions/listen", wanted)).await
    else {
        panic!("no events")
    };
    let first = next(&mut events).await;
    assert!(first.contains(r#""method":"notifications/subscriptions/acknowledged""#), "{first}");
    assert!(
        first.contains(r#"{"promptsListChanged":true,"resourceSubscriptions":["a:1"]}"#),
        "{first}"
    );
    let params = r#"{"name":"announce","arguments":{"uris":["b:1","a:1"],"many":1}}"#;
    call_tool(&server, LEGACY, "1", params).await;
    let heard = [next(&mut events).await, next(&mut events).await];
    assert!(heard.iter().any(|event| event.contains(r#""uri":"a:1""#)), "{heard:?}");
    assert!(heard.iter().any(|event| event.contains("prompts/list_changed")), "{heard:?}");
    for event in &heard {
        assert!(event.contains(r#""io.modelcontextprotocol/subscriptionId":"s""#), "{event}");
    }
    drop(events);
    let heard = heard_until(&server, |heard| heard.contains("-a:1")).await;
    assert!(heard.contains("+a:1"), "{heard}");
}
