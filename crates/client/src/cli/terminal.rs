//! The person at the terminal, who is asked what servers want to know.

use std::io::Write as _;

use anyhow::bail;
use async_trait::async_trait;
use serde_json::{Map, Value};

use super::show::{self, BOLD, DIM, WARN, plain};
use crate::session::host::{Answer, Host, Progress, Question};

/// A person at a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal;

#[async_trait]
impl Host for Terminal {
    fn can_be_asked(&self) -> bool {
        true
    }

    async fn asked(&self, question: Question) -> Answer {
        // Reading the keyboard blocks; a Ctrl-C meanwhile drops this future and the call with it.
        let answer = tokio::task::spawn_blocking(move || ask(&question));
        answer.await.ok().and_then(Result::ok).unwrap_or(Answer::Cancel)
    }

    fn progressed(&self, Progress { done, total, message }: Progress) {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let message = message.as_deref().map(plain).unwrap_or_default();
        show::note(DIM, " progress", &format!("{done}{of} {message}"));
    }
}

fn ask(question: &Question) -> anyhow::Result<Answer> {
    match question {
        Question::Page { message, url } => {
            announce(message);
            anstream::eprintln!("  It wants you to visit {BOLD}{}{BOLD:#}", plain(url));
            Ok(match line("  Have you, and shall it go on? [y/N] ")?.as_str() {
                "y" | "Y" | "yes" => Answer::Accept(Value::Null),
                _ => Answer::Decline,
            })
        }
        Question::Form { message, schema } => {
            announce(message);
            anstream::eprintln!("  {DIM}(`!` declines){DIM:#}");
            form(schema)
        }
    }
}

/// A person must be able to tell the server's words from the program's.
fn announce(message: &str) {
    show::note(WARN, "the server asks:", &plain(message));
}

fn form(schema: &Value) -> anyhow::Result<Answer> {
    let mut values = Map::new();
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let empty = Map::new();
    for (name, field) in schema["properties"].as_object().unwrap_or(&empty) {
        loop {
            let typed = line(&prompt(name, field, required.contains(&name.as_str())))?;
            if typed == "!" {
                return Ok(Answer::Decline);
            }
            if typed.is_empty() {
                match field.get("default") {
                    Some(default) => drop(values.insert(name.clone(), default.clone())),
                    None if required.contains(&name.as_str()) => continue,
                    None => {}
                }
                break;
            }
            match value(&typed, field) {
                Ok(value) => {
                    values.insert(name.clone(), value);
                    break;
                }
                Err(wrong) => show::error(&format!("{wrong}")),
            }
        }
    }
    Ok(Answer::Accept(Value::Object(values)))
}

fn prompt(name: &str, field: &Value, required: bool) -> String {
    let title = field["title"].as_str().unwrap_or(name);
    let more = field["description"].as_str().map(|text| format!(" ({text})")).unwrap_or_default();
    let choices = choices(field);
    let choices =
        if choices.is_empty() { String::new() } else { format!(" [{}]", choices.join(", ")) };
    let default = field.get("default").map(|value| format!(" default {value}")).unwrap_or_default();
    let mark = if required { "" } else { " optional" };
    format!("  {}: ", plain(&format!("{title}{more}{choices}{default}{mark}")))
}

fn choices(field: &Value) -> Vec<&str> {
    let plain = field["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    let titled = field["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = plain.iter().filter_map(Value::as_str);
    plain.chain(titled.iter().filter_map(|choice| choice["const"].as_str())).collect()
}

/// What was typed, as the field wants it; whoever asked checks the rest.
fn value(typed: &str, field: &Value) -> anyhow::Result<Value> {
    let allowed = choices(field);
    Ok(match field["type"].as_str() {
        Some("boolean") => match typed {
            "y" | "yes" | "true" => Value::Bool(true),
            "n" | "no" | "false" => Value::Bool(false),
            _ => bail!("type yes or no"),
        },
        Some("integer") => {
            Value::from(typed.parse::<i64>().map_err(|_| anyhow::anyhow!("type a whole number"))?)
        }
        Some("number") => {
            Value::from(typed.parse::<f64>().map_err(|_| anyhow::anyhow!("type a number"))?)
        }
        Some("array") => {
            let items = typed.split(',').map(|item| Value::from(item.trim()));
            Value::Array(items.collect())
        }
        _ if !allowed.is_empty() && !allowed.contains(&typed) => {
            bail!("type one of {}", allowed.join(", "))
        }
        _ => Value::from(typed),
    })
}

fn line(prompt: &str) -> anyhow::Result<String> {
    let mut out = anstream::stderr();
    write!(out, "{prompt}")?;
    out.flush()?;
    let mut typed = String::new();
    if std::io::stdin().read_line(&mut typed)? == 0 {
        bail!("nobody is there");
    }
    Ok(typed.trim().to_owned())
}
