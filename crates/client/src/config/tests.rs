use super::*;

fn load(file: &str, environment: &Environment, options: Options) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.toml");
    std::fs::write(&path, file).unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    Config::load(Some(&path), environment, options)
}

fn names(models: &[ModelName]) -> Vec<String> {
    models.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_is_taken() {
    let example = include_str!("../../cedargate-chat.example.toml");
    let environment = Environment::of([("LOCAL_KEY", "k")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cedargate-chat.toml");
    std::fs::write(&path, example).unwrap();
    for secret in ["client-secret", "eu-secret", "anthropic-key"] {
        std::fs::write(folder.path().join(secret), "s").unwrap();
    }
    let config = Config::load(Some(&path), &environment, Options::default()).unwrap();
    assert_eq!(names(&config.models), ["openai/gpt-4.1", "local/qwen3"]);
    assert_eq!(config.zones["eu"].id.as_deref(), Some("mcp-eu-client"));
    assert_eq!(config.providers["local"].zone.as_deref(), Some("eu"));
}

#[test]
fn options_win_over_variables_and_variables_over_the_file() {
    let file = "gate = 'https://file/mcp'\nmodels = ['a/1']\nclient.id = 'file'\nbounds.rounds = 3";
    let config = load(file, &Environment::default(), Options::default()).unwrap();
    assert_eq!((config.gate.as_str(), config.bounds.rounds), ("https://file/mcp", 3));
    let environment = Environment::of([
        ("CEDARGATE_CHAT_GATE", "https://variable/mcp"),
        ("CEDARGATE_CHAT_BOUNDS__ROUNDS", "5"),
        ("OAUTH_CLIENT_ID", "variable"),
    ]);
    let config = load(file, &environment, Options::default()).unwrap();
    assert_eq!((config.gate.as_str(), config.bounds.rounds), ("https://variable/mcp", 5));
    assert_eq!(config.client.id.as_deref(), Some("variable"));
    let options = Options {
        gate: Some("https://option/mcp".to_owned()),
        models: vec!["b/2".parse().unwrap()],
        client_id: Some("option".to_owned()),
        ..Options::default()
    };
    let config = load(file, &environment, options).unwrap();
    assert_eq!(config.gate, "https://option/mcp");
    assert_eq!(names(&config.models), ["b/2"]);
    assert_eq!(config.client.id.as_deref(), Some("option"));
}

#[test]
fn keys_in_the_usual_variables_are_enough() {
    let environment = Environment::of([
        ("ANTHROPIC_API_KEY", "a"),
        ("OPENAI_API_KEY", "o"),
        ("OLLAMA_BASE_URL", "http://localhost:11434/"),
        ("OLLAMA_MODEL", "gemma3"),
        ("GEMINI_API_KEY", " "),
    ]);
    let config = Config::load(None, &environment, Options::default()).unwrap();
    assert_eq!(
        names(&config.models),
        ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5", "ollama/gemma3"]
    );
    let ollama = &config.providers["ollama"];
    assert_eq!(ollama.base_url.as_deref(), Some("http://localhost:11434/v1/"));
    assert!(!format!("{config:?}").contains("\"o\""), "keys are not shown");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_key() {
    let file = "
        providers.x.zone = 'mars'
        providers.y.api_key_variable = 'NOT_SET'
        client.secret_file = 'nowhere'
    ";
    let wrong = load(file, &Environment::default(), Options::default()).unwrap_err().to_string();
    for part in
        ["providers.x.zone", "`[zones.mars]`", "providers.y", "NOT_SET", "client.secret_file"]
    {
        assert!(wrong.contains(part), "{part} in {wrong}");
    }
    for (file, part) in [
        ("gat = 'x'", "gat"),
        ("models = ['gpt']", "provider/model"),
        ("bounds.time = 'soon'", "bounds.time"),
        ("client.secret_file = 'secret'", "client.id: missing"),
        ("providers.x.wire = 'smoke'", "providers.x.wire"),
    ] {
        let wrong = load(file, &Environment::default(), Options::default()).unwrap_err();
        assert!(wrong.to_string().contains(part), "{part} in {wrong}");
    }
}
