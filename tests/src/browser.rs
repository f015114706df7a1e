//! A person before a browser without scripts, and a client that sends them to the issuer.

use http::header;
use reqwest::Url;
use serde_json::{Value, json};

use crate::{place::PASSWORD, reply::Reply, stack::Stack};

/// Keeps the one cookie, follows forms as they are written, and no redirect by itself.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    cookie: Option<String>,
}

/// A public client that registered itself with the stack's issuer.
#[derive(Debug)]
pub struct RegisteredClient {
    http: reqwest::Client,
    issuer: String,
    /// Its `client_id`.
    pub id: String,
}

impl Browser {
    /// A browser without cookies.
    pub fn new(stack: &Stack) -> Self {
        Self { http: stack.http(), cookie: None }
    }

    /// Fetches a page.
    pub async fn get(&mut self, url: &str) -> Reply {
        self.send(self.http.get(url)).await
    }

    /// Posts the page's form, with these fields filled in besides what is hidden in it.
    pub async fn submit(&mut self, page: &Reply, at: &str, fields: &[(&str, &str)]) -> Reply {
        let action = attribute(&page.body, "action").expect("a form");
        let url = Url::parse(at).unwrap().join(&action).unwrap();
        let seal = attribute(&page.body, "name=\"seal\" value").expect("a seal");
        let mut form = vec![("seal", seal.as_str())];
        form.extend(fields);
        self.post(url.as_str(), &form).await
    }

    /// Posts any form anywhere.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.http.post(url).form(form)).await
    }

    /// Signs in where a client has sent it; yields the consent page.
    pub async fn sign_in(&mut self, url: &str, user: &str) -> Reply {
        let page = self.get(url).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let fields = [("username", user), ("password", PASSWORD)];
        let reply = self.submit(&page, url, &fields).await;
        let next = location(url, &reply);
        self.get(next.as_str()).await
    }

    /// Signs in and allows; yields where the browser is sent with the code.
    pub async fn allow(&mut self, url: &str, user: &str) -> Url {
        let page = self.sign_in(url, user).await;
        let reply = self.submit(&page, url, &[("decision", "allow")]).await;
        location(url, &reply)
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Reply {
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let reply = Reply::read(request.send().await.unwrap()).await;
        if let Some(value) = reply.headers.get(header::SET_COOKIE) {
            let pair = value.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
        reply
    }
}

impl RegisteredClient {
    /// Where it wants people sent back to.
    pub const CALLBACK: &str = "http://127.0.0.1:4711/callback";

    /// Registers with the stack's issuer.
    pub async fn register(stack: &Stack, name: &str) -> Self {
        let metadata = json!({
            "client_name": name,
            "redirect_uris": [Self::CALLBACK],
            "token_endpoint_auth_method": "none",
        });
        let (http, issuer) = (stack.http(), stack.issuer());
        let request = http.post(format!("{issuer}/register")).json(&metadata);
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let client = reply.json();
        let id = client.get("client_id").and_then(Value::as_str).expect("an id").to_owned();
        Self { http, issuer, id }
    }

    /// Where it sends people, with changes; an empty value leaves a parameter out.
    pub fn authorization_url(&self, changes: &[(&str, &str)]) -> String {
        let usual = [
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", Self::CALLBACK),
            ("state", "some-state"),
            ("scope", "customer:read"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let parameters = changed(&usual, changes);
        Url::parse_with_params(&format!("{}/authorize", self.issuer), parameters).unwrap().into()
    }

    /// Asks for tokens for the code that a browser was sent back with, with changes.
    pub async fn exchange(&self, returned: &Url, changes: &[(&str, &str)]) -> Reply {
        let code = parameter(returned, "code").unwrap_or_else(|| panic!("no code in {returned}"));
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", self.id.as_str()),
            ("code", &code),
            ("redirect_uri", Self::CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token_endpoint(&changed(&usual, changes)).await
    }

    /// Posts to the token endpoint.
    pub async fn token_endpoint(&self, form: &[(&str, &str)]) -> Reply {
        let request = self.http.post(format!("{}/token", self.issuer)).form(form);
        Reply::read(request.send().await.unwrap()).await
    }

    /// The whole way: tokens of `user` for these scopes.
    pub async fn tokens(&self, stack: &Stack, user: &str, scopes: &str) -> Value {
        let url = self.authorization_url(&[("scope", scopes)]);
        let returned = Browser::new(stack).allow(&url, user).await;
        self.exchange(&returned, &[]).await.json()
    }
}

/// Where a 303 leads; any other status is a failure.
pub fn location(from: &str, reply: &Reply) -> Url {
    assert_eq!(reply.status, 303, "{}", reply.body);
    let to = reply.headers.get(header::LOCATION).expect("a location").to_str().unwrap();
    Url::parse(from).unwrap().join(to).unwrap()
}

/// A parameter in a URL's query.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn changed<'a>(
    usual: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = usual.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
    kept.chain(changes).filter(|(_, value)| !value.is_empty()).copied().collect()
}

fn attribute(html: &str, before: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("{before}=\""))?;
    let value = rest.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&"))
}

/// The example of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
