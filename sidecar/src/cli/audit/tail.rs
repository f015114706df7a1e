//! `cedargate audit tail`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Map, Value};

use super::{
    LedgerOptions,
    query::{Wanted, shown, text},
    unreadable,
};
use crate::cli::report::{self, styled};

/// Show the latest decisions, and every further one as it is made
///
///   cedargate audit tail
///   cedargate audit tail --decision deny -n 5
///   cedargate audit tail --no-follow --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TailArguments {
    #[command(flatten)]
    wanted: Wanted,
    /// So many of the latest ones first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// End then
    #[arg(long)]
    no_follow: bool,
}

pub(super) async fn tail(
    ledger: &LedgerOptions,
    arguments: TailArguments,
) -> Result<ExitCode, String> {
    let mut reader = ledger.reader().await?;
    let mut latest = Vec::new();
    let (mut before, mut next) = (i64::MAX, None);
    'pages: loop {
        let page = reader.before(before, PAGE).await.map_err(unreadable)?;
        let Some(last) = page.last() else { break };
        before = last.seq;
        for entry in page {
            next = next.or(Some(entry.seq + 1));
            if latest.len() == arguments.last {
                break 'pages;
            }
            latest.extend(Some(entry.whole()).filter(|entry| arguments.wanted.fits(entry)));
        }
    }
    latest.iter().rev().for_each(|entry| print(entry, ledger.json));
    let mut next = next.unwrap_or(0);
    if arguments.no_follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for entry in reader.from(next, PAGE).await.map_err(unreadable)? {
            next = entry.seq + 1;
            let entry = entry.whole();
            if arguments.wanted.fits(&entry) {
                print(&entry, ledger.json);
            }
        }
    }
}

fn print(entry: &Map<String, Value>, as_json: bool) {
    if as_json {
        println!("{}", Value::Object(entry.clone()));
        return;
    }
    if !entry.contains_key("decision") {
        let said = ["kind", "outcome", "detector", "explanation"].map(|name| shown(entry, name));
        let line = [shown(entry, "at").chars().take(19).collect(), said.join(" ")].join(" ");
        return anstream::println!("{}", styled(report::FAINT, line.trim_end()));
    }
    let allowed = text(entry, "decision").is_some_and(|decision| decision == "allow");
    let style = if allowed { report::GOOD } else { report::BAD };
    let of = |name: &str| shown(entry, name);
    let at = of("at");
    anstream::println!(
        "{} {} {} {} {} {}",
        styled(report::FAINT, at.get(..19).unwrap_or(&at)),
        styled(style, format!("{:<5}", of("decision"))),
        of("principal"),
        of("method"),
        styled(report::STRONG, of("target")),
        styled(report::FAINT, [of("reason"), of("policies")].join(" "))
    );
}

const PAGE: u32 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(250);
