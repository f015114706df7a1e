//! `cedargate init`: from a server that runs to a directory that can be served from.

mod written;

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{StdioServer, load_quietly, matrix::matrix, report, report::styled};
use crate::{
    authz::{Lock, Policies, schema::schema_of},
    config::Config,
    upstream::survey,
};

/// Make a working directory for a server: configuration, schema, policies, lock, a first test
///
/// The server is asked for what it offers. Nothing is permitted by what is written, except to speak
/// the protocol: every tool has its own line to take the comment from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArguments {
    /// The directory; it must not be there yet
    #[arg(default_value = "cedargate")]
    folder: PathBuf,
    /// The server's MCP endpoint
    #[arg(long, value_name = "URL", required_unless_present = "stdio", conflicts_with = "stdio")]
    upstream: Option<String>,
    /// Who vouches for the server's certificate (PEM), where the system does not
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    #[command(flatten)]
    server: StdioServer,
    /// What policies call the server
    #[arg(long, default_value = "server")]
    name: String,
    /// Who issues tokens
    #[arg(long, value_name = "URL", default_value = "https://issuer.example.com")]
    issuer: String,
    /// Who vouches for the issuer's certificate (PEM), where the system does not
    #[arg(long, value_name = "FILE")]
    issuer_ca: Option<PathBuf>,
    /// The URL that clients are given, and what a token's `aud` must contain
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:8443/mcp")]
    public_url: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: std::net::SocketAddr,
    /// The scope that the prepared policies ask for
    #[arg(long, default_value = "mcp:tools")]
    scope: String,
    /// Say in JSON what was written
    #[arg(long)]
    json: bool,
}

pub(super) async fn init(arguments: InitArguments) -> ExitCode {
    let (as_json, folder) = (arguments.json, arguments.folder.clone());
    match make(arguments).await {
        Ok(tools) => {
            if as_json {
                report::json(&json!({ "written": folder, "tools": tools }));
            } else {
                tell(&folder, tools);
            }
            ExitCode::SUCCESS
        }
        Err(what) => report::fault(&what, as_json),
    }
}

fn tell(folder: &Path, tools: usize) {
    let folder = folder.display();
    anstream::println!(
        "{} `{folder}`: a gate in front of {tools} tools, none of them permitted yet",
        styled(report::GOOD, "made")
    );
    for (command, what) in [
        (format!("cd {folder}"), ""),
        (
            "$EDITOR policies/tools.cedar".to_owned(),
            "take the comment from a line to permit a tool",
        ),
        ("cedargate test --write".to_owned(), "see what that changes in the access matrix"),
        ("cedargate check --live".to_owned(), "see that issuer and server answer"),
        ("cedargate run".to_owned(), "serve"),
    ] {
        anstream::println!("  {command:32}{}", styled(report::FAINT, what));
    }
    anstream::println!(
        "certs/cedargate.pem is for trying out: it vouches for itself, for 90 days. Give clients it as their CA, or put your own in its place."
    );
}

/// Writes everything beside the folder and puts it in its place when it is whole.
async fn make(arguments: InitArguments) -> Result<usize, String> {
    let folder = arguments.folder.clone();
    let empty =
        fs::read_dir(&folder).map_or(!folder.exists(), |mut entries| entries.next().is_none());
    if !empty {
        return Err(format!("`{}` is there already; choose another directory", folder.display()));
    }
    let mut beside = folder.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let failed = |e: io::Error| format!("cannot write `{}`: {e}", beside.display());
    fs::create_dir_all(beside.join("policies/tests")).map_err(failed)?;
    fs::create_dir_all(beside.join("certs")).map_err(failed)?;
    let made = fill(&beside, arguments).await;
    let placed = made.and_then(|tools| {
        // An empty folder gives way to the new one.
        drop(fs::remove_dir(&folder));
        fs::rename(&beside, &folder)
            .map_err(|e| format!("cannot make `{}`: {e}", folder.display()))?;
        Ok(tools)
    });
    if placed.is_err() {
        drop(fs::remove_dir_all(&beside));
    }
    placed
}

async fn fill(folder: &Path, arguments: InitArguments) -> Result<usize, String> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
    };
    certificates(folder, &arguments.public_url)?;
    put("cedargate.toml", &written::configuration(&arguments)?)?;
    let path = folder.join("cedargate.toml");
    let config: Config = load_quietly(&path, None).map_err(|e| e.to_string())?;
    let offer = survey(&config).await.map_err(|e| e.to_string())?;
    let lock = Lock::of(&config.upstream.name, offer);
    lock.write(&config.policies.lock).map_err(|e| format!("cannot write the lock: {e}"))?;
    put("policies/schema.cedarschema", &schema_of(lock.offer()))?;
    put("policies/protocol.cedar", written::PROTOCOL)?;
    put("policies/guardrails.cedar", written::GUARDRAILS)?;
    put("policies/tools.cedar", &written::tools(lock.offer(), &arguments.scope))?;
    put("policies/tests/first.yaml", &written::first_test(lock.offer(), &arguments.scope))?;
    let policies = Policies::load(&config).map_err(|e| e.for_people(false))?;
    put("policies/matrix.txt", &matrix(&policies, lock.offer()))?;
    Ok(lock.offer().tools().count())
}

/// A certificate that vouches for itself, for the host that clients are told.
fn certificates(folder: &Path, public_url: &str) -> Result<(), String> {
    let failed = |what: String| format!("cannot make a certificate: {what}");
    let url = url::Url::parse(public_url).map_err(|e| failed(e.to_string()))?;
    let host = url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
    let mut names = vec![host, "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.dedup();
    let key = rcgen::KeyPair::generate().map_err(|e| failed(e.to_string()))?;
    let mut params = rcgen::CertificateParams::new(names).map_err(|e| failed(e.to_string()))?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "cedargate init");
    let now = std::time::SystemTime::now();
    params.not_before = now.into();
    params.not_after = (now + VALID_FOR).into();
    let certificate = params.self_signed(&key).map_err(|e| failed(e.to_string()))?;
    let put = |name: &str, text: &str, mode: u32| {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(folder.join(name));
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(|e| failed(e.to_string()))
    };
    put("certs/cedargate.pem", &certificate.pem(), 0o644)?;
    put("certs/cedargate-key.pem", &key.serialize_pem(), 0o600)
}

const EXAMPLES: &str = "\
Examples:

  cedargate init --upstream http://127.0.0.1:3001/mcp --issuer https://issuer.example.com
  cedargate init weather --stdio -- npx -y some-mcp-server";
/// For trying out.
const VALID_FOR: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 3600);
