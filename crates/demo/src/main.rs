//! What `cargo run --release` plays: arguments -> stage -> scenes -> exit code.

mod scenes;
mod stage;
mod story;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use scenes::Scene;
use stage::{Ports, Stage};
use story::Story;

/// Everything on this machine over TLS, and real calls that are allowed, refused and stepped up
///
/// Brings up a development authorization server, a protected customer MCP server and Cedargate in
/// front of it, plays six scenes, and goes on serving for clients of your own.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// Play the scenes and exit: 0 when every one ended as it should, else 1
    #[arg(long)]
    once: bool,
    /// Ports 8443 to 8446, or any that are free
    #[arg(long, value_enum, default_value_t = Ports::Fixed)]
    ports: Ports,
    /// One JSON object a scene instead of the story
    #[arg(long)]
    json: bool,
    /// Folder of policies; edit them while the demo runs
    #[arg(long, default_value_os_t = stage::workspace().join("policies"))]
    policies: PathBuf,
    /// Folder of certificates, made when they are missing
    #[arg(long, default_value_os_t = stage::workspace().join("certs"))]
    certs: PathBuf,
}

/// EX_USAGE: something that the demo needs is missing, taken or broken.
const CANNOT_START: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "error,sidecar::authz=info".into()),
        )
        .without_time()
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.into(), 1),
    };
    runtime.block_on(play(arguments))
}

async fn play(arguments: Arguments) -> ExitCode {
    let story = Story::new(arguments.json);
    let home = match stage::Home::new(arguments.once) {
        Ok(home) => home,
        Err(error) => return complain(&error, CANNOT_START),
    };
    let directories = stage::Directories { policies: arguments.policies, certs: arguments.certs };
    let mut stage = match Stage::set(&directories, &home, arguments.ports).await {
        Ok(stage) => stage,
        Err(error) => return complain(&error, CANNOT_START),
    };
    story.opening(&stage);
    let mut good = 0;
    for (number, scene) in Scene::ALL.into_iter().enumerate() {
        let report = scene.play(&mut stage).await;
        good += usize::from(report.as_expected);
        story.scene(number + 1, &report);
    }
    story.verdict(good, Scene::ALL.len());
    if !arguments.once {
        story.invitation(&stage);
        tokio::select! {
            () = story.follow(&mut stage) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    if good == Scene::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("demo: {error:#}");
    ExitCode::from(code)
}
