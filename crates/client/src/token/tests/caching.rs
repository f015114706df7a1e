use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn two_processes_share_one_token_in_a_file_that_nobody_else_reads() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path().join("tokens.json"));
    let shared = Options { cache: cache.clone(), ..options() };
    let mut sources = Vec::new();
    // Each takes the lock by a handle of its own, as another process would.
    for _ in 0..20 {
        sources.push(source(&fake, shared.clone()).await);
    }
    let ask = |tokens: &Arc<TokenSource>| {
        let tokens = Arc::clone(tokens);
        tokio::spawn(async move { tokens.token().await.unwrap() })
    };
    for token in futures::future::join_all(sources.iter().map(ask)).await {
        assert_eq!(token.unwrap().expose(), "token-1");
    }
    assert_eq!(fake.asked().len(), 1);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }

    // Other scopes, another client: other tokens.
    for other in [
        shared.clone().with_scopes(&["a"]),
        Options { client: OAuthClient::with_secret("another", SECRET), ..shared.clone() },
    ] {
        source(&fake, other).await.token().await.unwrap();
    }
    assert_eq!(fake.asked().len(), 3);

    // A token that the resource refused is not taken again, by nobody.
    let refused = sources[0].token().await.unwrap();
    sources[0].discard(&refused);
    assert_eq!(sources[0].token().await.unwrap().expose(), "token-4");
    assert_eq!(source(&fake, shared).await.token().await.unwrap().expose(), "token-4");
}

#[tokio::test]
async fn a_file_that_is_not_ours_alone_is_refused() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    let refused = async |complaint: &str| {
        let options = Options { cache: Some(path.clone()), ..options() };
        let told = discovered(&fake, options).await.unwrap_err().to_string();
        assert!(told.contains(complaint), "{told}");
    };
    std::fs::write(&path, "{}").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        refused("`chmod 600` it").await;
    }
    std::fs::remove_file(&path).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    symlink(&elsewhere, &path).unwrap();
    refused("symbolic link").await;
    std::fs::write(&elsewhere, "{}").unwrap();
    std::fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o600)).unwrap();
    refused("symbolic link").await;
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("no plain file").await;
    std::fs::remove_dir(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    refused("no plain file").await;
}

#[tokio::test]
async fn a_damaged_file_is_begun_anew() {
    let fake = Fake::start().await;
    for text in ["", "{", "[]", r#"{"version":2,"tokens":{}}"#, r#"{"version":1,"what":1}"#] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let before = fake.asked().len();
        let shared = Options { cache: Some(path.clone()), ..options() };
        let token = source(&fake, shared.clone()).await.token().await.unwrap();
        assert_eq!(source(&fake, shared).await.token().await.unwrap(), token);
        assert_eq!(fake.asked().len(), before + 1, "{text}");
        assert_eq!(mode(&path), 0o600);
    }
}
