//! Task ids on their way to the caller: sealed to it, with the tool that made the task. (MCP
//! 2025-11-25, tasks; 2026-07-28, SEP-2663.)

use super::{
    list::member,
    revision::{Revised, Revision, tree, unreadable, written},
};
use crate::{
    message::{
        META_RELATED_TASK, Origin, Target,
        json::{Json, Object},
        sealed_task,
    },
    rejection::Rejection,
};

/// The ids in a result: of a task just made, of one asked about, of a list of them.
pub(super) fn in_result(
    revision: &Revision,
    asked: &Origin,
    result: &mut Object,
) -> Result<(), Rejection> {
    if asked.method.name == "tasks/list" {
        return only_own(revision, result);
    }
    let Target::Tool(tool) = asked.target() else { return Ok(()) };
    seal(revision, tool, result)?;
    if let Some(Json::Object(task)) = member(result, "task")? {
        seal(revision, tool, task)?;
    }
    if let Some(Json::Object(meta)) = member(result, "_meta")?
        && let Some(Json::Object(related)) = member(meta, META_RELATED_TASK)?
    {
        seal(revision, tool, related)?;
    }
    Ok(())
}

/// A notification about a task, if it is one of this caller's.
pub(super) fn status(revision: &Revision, text: &[u8]) -> Result<Revised, Rejection> {
    let mut message = tree(text)?;
    let Some(Json::Object(params)) = message.get_mut("params") else {
        return Err(unreadable("it speaks of no task"));
    };
    let Some(tool) = seal_known(revision, params) else { return Ok(Revised::LeftOut) };
    let Ok(redactions) = revision.redactions_of(&tool) else { return Ok(Revised::LeftOut) };
    super::asked_back::permitted(revision, params)?;
    redactions.in_notification(&mut message)?;
    Ok(Revised::Changed(written(&message)))
}

/// A notification that says of which task it is, and goes on without saying so when that is none of
/// this caller's.
pub(super) fn related(revision: &Revision, text: &[u8]) -> Result<Revised, Rejection> {
    let mut message = tree(text)?;
    if let Some(Json::Object(params)) = message.get_mut("params") {
        relate(revision, params);
    }
    Ok(Revised::Changed(written(&message)))
}

/// Seals the task that `params._meta` names, or takes it out.
pub(super) fn relate(revision: &Revision, params: &mut Object) {
    let Some(Json::Object(meta)) = params.get_mut("_meta") else { return };
    let known = match meta.get_mut(META_RELATED_TASK) {
        Some(Json::Object(related)) => seal_known(revision, related).is_some(),
        Some(_) => false,
        None => return,
    };
    if !known {
        meta.remove(META_RELATED_TASK);
    }
}

/// What of a subscription the upstream honours.
pub(super) fn acknowledged(revision: &Revision, text: &[u8]) -> Result<Revised, Rejection> {
    let mut message = tree(text)?;
    let params = message.get_mut("params");
    if let Some(Json::Object(params)) = params
        && let Some(Json::Object(filter)) = params.get_mut("notifications")
        && let Some(Json::Array(ids)) = filter.get_mut("taskIds")
    {
        let sealed = |id: &Json| Some(Json::String(known(revision, id.as_str()?)?.0));
        *ids = ids.iter().filter_map(sealed).collect();
        return Ok(Revised::Changed(written(&message)));
    }
    Ok(Revised::AsItIs)
}

/// Of a list of tasks those that were made for this caller.
fn only_own(revision: &Revision, result: &mut Object) -> Result<(), Rejection> {
    let Some(Json::Array(tasks)) = member(result, "tasks")? else {
        return Err(unreadable("there is no list of tasks"));
    };
    tasks.retain_mut(|task| {
        let Json::Object(task) = task else { return false };
        let tool = seal_known(revision, task);
        let redactions = tool.and_then(|tool| revision.redactions_of(&tool).ok());
        redactions.is_some_and(|redactions| redactions.in_result(task).is_ok())
    });
    Ok(())
}

/// Seals `taskId` in place and remembers whose it is.
fn seal(revision: &Revision, tool: &str, holder: &mut Object) -> Result<(), Rejection> {
    if let Some(Json::String(id)) = member(holder, "taskId")? {
        let sealed = sealed_task(&revision.gate.seals, &revision.owner, tool, id);
        let sealed = sealed.ok_or_else(|| unreadable("a task's id is too long"))?;
        revision.gate.remembered.task(&revision.owner, id, tool);
        *id = sealed;
    }
    Ok(())
}

/// Seals `taskId` in place if the task is known to be this caller's, and says which tool made it.
fn seal_known(revision: &Revision, holder: &mut Object) -> Option<String> {
    let Some(Json::String(id)) = holder.get_mut("taskId") else { return None };
    let (sealed, tool) = known(revision, id)?;
    *id = sealed;
    Some(tool)
}

/// The id as its owner gets it, and the tool that made the task.
fn known(revision: &Revision, id: &str) -> Option<(String, String)> {
    let tool = revision.gate.remembered.tool_of(&revision.owner, id)?;
    let sealed = sealed_task(&revision.gate.seals, &revision.owner, &tool, id)?;
    Some((sealed, tool))
}
