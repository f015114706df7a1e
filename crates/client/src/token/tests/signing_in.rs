use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{fake::bearer, *};

/// Options for a person, and where the address is shown.
fn person(client_id: Option<&str>) -> (Options, mpsc::UnboundedReceiver<Url>) {
    let (show, shown) = mpsc::unbounded_channel();
    let login = Login {
        client_id: client_id.map(str::to_owned),
        browser: Browser::LeftAlone,
        show: Arc::new(move |url| drop(show.send(Url::parse(url).unwrap()))),
    };
    (Options::new(OAuthClient::Person(login)), shown)
}

fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn with_refresh(n: usize, mut answer: Value) -> Value {
    answer["refresh_token"] = json!(format!("refresh-{n}"));
    answer
}

async fn come_back(shown: &Url, changes: &[(&str, &str)]) -> (u16, String) {
    let asked = query(shown);
    let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
    let issuer = shown.origin().ascii_serialization();
    let usual = [("code", "the-code"), ("state", &asked["state"]), ("iss", &issuer)];
    let kept = usual.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
    back.query_pairs_mut().extend_pairs(kept.chain(changes).filter(|(_, value)| !value.is_empty()));
    let reply = reqwest::get(back).await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

fn asking(tokens: &Arc<TokenSource>) -> tokio::task::JoinHandle<Result<Secret, TokenError>> {
    let tokens = Arc::clone(tokens);
    tokio::spawn(async move { tokens.token().await })
}

#[tokio::test]
async fn a_person_signs_in_once_and_refreshes_from_then_on() {
    let fake = Fake::answering(|n, asked| (200, with_refresh(n, bearer(n, asked)))).await;
    fake.challenge(r#"Bearer scope="a""#);
    let (time, clock) = movable();
    let (options, mut shown) = person(Some("public"));
    let tokens = source(&fake, Options { clock, ..options }).await;
    let waiting = asking(&tokens);
    let url = shown.recv().await.unwrap();
    let asked = query(&url);
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["resource"], fake.mcp());
    assert_eq!(asked["scope"], "a");
    assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:"), "{asked:?}");
    let (status, page) = come_back(&url, &[]).await;
    assert_eq!(status, 200);
    assert!(page.contains("You are signed in. You can close this page."), "{page}");
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "token-1");
    let exchange = &fake.asked()[0].form;
    assert_eq!(exchange["code"], "the-code");
    assert_eq!(exchange["redirect_uri"], asked["redirect_uri"]);
    assert_eq!(exchange["resource"], fake.mcp());
    let verifier =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, exchange["code_verifier"].as_bytes());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(verifier.as_ref());
    assert_eq!(challenge, asked["code_challenge"]);

    for n in 2..4 {
        time.fetch_add(4000, Ordering::SeqCst);
        assert_eq!(tokens.token().await.unwrap().expose(), format!("token-{n}"));
        let refresh = &fake.asked()[n - 1].form["refresh_token"];
        assert_eq!(*refresh, format!("refresh-{}", n - 1), "the latest");
    }
}

#[tokio::test]
async fn whoever_does_not_bring_the_state_is_not_believed() {
    let fake = Fake::start().await;
    let (options, mut shown) = person(Some("public"));
    let tokens = source(&fake, options).await;
    let waiting = asking(&tokens);
    let url = shown.recv().await.unwrap();
    for stranger in [
        &[("state", "guessed")][..],
        &[("state", "")],
        &[("state", "guessed"), ("error", "access_denied"), ("code", "")],
    ] {
        let (status, page) = come_back(&url, stranger).await;
        assert_eq!(status, 400, "{page}");
    }
    assert!(fake.asked().is_empty());
    assert_eq!(come_back(&url, &[]).await.0, 200, "the sign-in goes on");
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_of_another_issuer_or_a_refusal_ends_the_sign_in() {
    for (changes, complaint) in [
        (&[("iss", "https://evil.example")][..], "another authorization server"),
        (&[("iss", "")], "does not name its authorization server"),
        (&[("code", ""), ("error", "access_denied")], "said `access_denied`"),
        (&[("code", ""), ("error", "<script>")], "said `<script>`"),
        (&[("code", "")], "neither a code nor an error"),
    ] {
        let fake = Fake::start().await;
        let (options, mut shown) = person(Some("public"));
        let tokens = source(&fake, options).await;
        let waiting = asking(&tokens);
        let (status, page) = come_back(&shown.recv().await.unwrap(), changes).await;
        assert_eq!(status, 400);
        assert!(!page.contains("<script>"), "{page}");
        let told = waiting.await.unwrap().unwrap_err().to_string();
        assert!(told.contains(complaint), "{told}");
        assert!(fake.asked().is_empty(), "no code was taken");
    }
}

#[tokio::test]
async fn when_nobody_waits_any_more_the_port_is_closed() {
    let fake = Fake::start().await;
    let (options, mut shown) = person(Some("public"));
    let tokens = source(&fake, options).await;
    let waiting = asking(&tokens);
    let redirect = query(&shown.recv().await.unwrap())["redirect_uri"].clone();
    waiting.abort();
    drop(waiting.await);
    let closed = async {
        while reqwest::get(&redirect).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    let again = asking(&tokens);
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap().unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn after_five_minutes_the_sign_in_is_over() {
    let fake = Fake::start().await;
    let (options, mut shown) = person(Some("public"));
    let tokens = source(&fake, options).await;
    let waiting = asking(&tokens);
    shown.recv().await.unwrap();
    let told = waiting.await.unwrap().unwrap_err().to_string();
    assert!(told.contains("five minutes"), "{told}");
}

#[tokio::test]
async fn a_client_that_nobody_configured_registers_itself() {
    let fake = Fake::start().await;
    fake.tell("/register", json!({ "client_id": "made-up-by-the-issuer" }));
    let (options, mut shown) = person(None);
    let tokens = source(&fake, options).await;
    let waiting = asking(&tokens);
    let url = shown.recv().await.unwrap();
    assert_eq!(query(&url)["client_id"], "made-up-by-the-issuer");
    come_back(&url, &[]).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(tokens.inspect().client_id.as_deref(), Some("made-up-by-the-issuer"));

    fake.hide("/register");
    let (options, _shown) = person(None);
    let told = source(&fake, options).await.token().await.unwrap_err().to_string();
    assert!(told.contains("configure a client id"), "{told}");
}

#[tokio::test]
async fn without_pkce_nobody_is_sent_anywhere() {
    let fake = Fake::start().await;
    for methods in [json!([]), json!(["plain"])] {
        let mut metadata = fake.issuer_metadata();
        metadata["code_challenge_methods_supported"] = methods;
        fake.tell("/.well-known/oauth-authorization-server", metadata);
        let (options, _shown) = person(Some("public"));
        let told = source(&fake, options).await.token().await.unwrap_err().to_string();
        assert!(told.contains("no PKCE"), "{told}");
    }
}

#[tokio::test]
async fn what_one_process_signed_in_for_another_refreshes() {
    let fake = Fake::answering(|n, asked| (200, with_refresh(n, bearer(n, asked)))).await;
    fake.tell("/register", json!({ "client_id": "registered" }));
    let folder = tempfile::tempdir().unwrap();
    let (time, clock) = movable();
    let (options, mut shown) = person(None);
    let cache = Some(folder.path().join("tokens.json"));
    let shared = Options { cache, clock, ..options };
    let one = source(&fake, shared.clone()).await;
    let waiting = asking(&one);
    come_back(&shown.recv().await.unwrap(), &[]).await;
    waiting.await.unwrap().unwrap();

    fake.hide("/register");
    time.fetch_add(4000, Ordering::SeqCst);
    let other = source(&fake, shared).await;
    assert_eq!(other.token().await.unwrap().expose(), "token-2");
    assert_eq!(one.token().await.unwrap().expose(), "token-2", "found in the cache");
    time.fetch_add(4000, Ordering::SeqCst);
    assert_eq!(one.token().await.unwrap().expose(), "token-3");
    let asked = fake.asked();
    assert_eq!(asked[1].form["client_id"], "registered");
    assert_eq!(asked[1].form["refresh_token"], "refresh-1");
    assert_eq!(asked[2].form["refresh_token"], "refresh-2", "the one that replaced it");
    assert!(shown.try_recv().is_err(), "nobody signs in twice");
}

#[tokio::test]
async fn when_the_refresh_token_is_over_the_person_signs_in_again() {
    let fake = Fake::answering(|n, asked| match asked.form.contains_key("refresh_token") {
        true => (400, json!({ "error": "invalid_grant" })),
        false => (200, with_refresh(n, bearer(n, asked))),
    })
    .await;
    let (time, clock) = movable();
    let (options, mut shown) = person(Some("public"));
    let tokens = source(&fake, Options { clock, ..options }).await;
    for n in [1, 3] {
        let waiting = asking(&tokens);
        come_back(&shown.recv().await.unwrap(), &[]).await;
        assert_eq!(waiting.await.unwrap().unwrap().expose(), format!("token-{n}"));
        time.fetch_add(4000, Ordering::SeqCst);
    }
}
