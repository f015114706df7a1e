use dev_certificates::LocalAuthority;
use harness::{RawConnection, Stack, eventually};

fn ping(stack: &Stack, token: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        stack.gate(),
        body.len()
    )
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_open_connections_stay() {
    let stack = Stack::start().await;
    let token = stack.caller("").token().to_owned();
    let mut open = RawConnection::open(&stack).await.unwrap();
    let before = open.certificate();
    let write = |(certificate, key): (&str, &str)| {
        std::fs::write(stack.home().join("gate.pem"), certificate).unwrap();
        std::fs::write(stack.home().join("gate-key.pem"), key).unwrap();
    };
    let (certificate, key) = stack.issue("gate");
    write((&certificate, &key));
    eventually("the new certificate is shown", async || {
        RawConnection::open(&stack).await.unwrap().certificate() != before
    })
    .await;
    let renewed = RawConnection::open(&stack).await.unwrap().certificate();

    stack.count_request();
    open.write(&ping(&stack, &token)).await.unwrap();
    let answer = open.read().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "an open connection stays: {answer}");

    let (_, another_key) = stack.issue("gate");
    write((&certificate, &another_key));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let now = RawConnection::open(&stack).await.unwrap().certificate();
    assert_eq!(now, renewed, "a certificate and a key that do not belong together change nothing");
    stack.finish().await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_ends_the_connection() {
    let stack = Stack::with().listener_settings("client_ca = \"ca.pem\"\n").start().await;
    let token = stack.caller("").token().to_owned();
    let (certificate, key) = stack.issue("a-caller");
    let mut known = RawConnection::showing(&stack, Some((&certificate, &key))).await.unwrap();
    stack.count_request();
    known.write(&ping(&stack, &token)).await.unwrap();
    assert!(known.read().await.starts_with("HTTP/1.1 200"));

    let stranger = LocalAuthority::generate().unwrap().issue("a-caller").unwrap();
    let identity = (stranger.certificate_pem.as_str(), stranger.key_pem.as_str());
    let answer = match RawConnection::showing(&stack, Some(identity)).await {
        Err(_) => String::new(),
        // In TLS 1.3 the client is done before the gate has looked.
        Ok(mut connection) => {
            drop(connection.write(&ping(&stack, &token)).await);
            connection.read().await
        }
    };
    assert!(answer.is_empty(), "{answer}");
    stack.finish().await;
}
