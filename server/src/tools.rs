//! One file a tool, all with the same anatomy: arguments, outcome, call.
//!
//! A tool's arguments type is the one place where its input rules stand. They are published as
//! its JSON Schema and checked against that schema before the tool sees them, so what a client
//! reads, what the gate enforces and what the server enforces are the same text.

mod calculate_account_value;
mod create_support_ticket;
mod get_customer_info;
mod get_recent_customers;

use std::{future::Future, sync::Arc};

use http::request::Parts;
use jsonschema::Validator;
use rmcp::{
    ErrorData,
    handler::server::{
        router::tool::{ToolRoute, ToolRouter},
        tool::ToolCallContext,
    },
    model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations},
};
use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    caller::Caller,
    handler::CustomerHandler,
    security_events::{SecurityEvents, Severity},
    store::{Store, StoreError},
};

/// What a file under `tools/` says about its tool.
trait CustomerTool: 'static {
    const NAME: &'static str;
    const TITLE: &'static str;
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    type Arguments: DeserializeOwned + JsonSchema + Send;
    type Outcome: Serialize + JsonSchema;

    fn call(
        store: &Store,
        caller: &Caller,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::Outcome, StoreError>> + Send;
}

/// What a call changes; published as hints.
#[derive(Clone, Copy)]
enum Effect {
    Reads,
    Adds,
}

/// Why a tool has no outcome, in words for the model that called it.
#[derive(Debug, thiserror::Error)]
enum ToolFailure {
    #[error("the arguments are not as the tool's schema asks: {0}")]
    Arguments(String),
    #[error(transparent)]
    NoSuchCustomer(StoreError),
    #[error("the customer store is not available; nothing was changed, try again later")]
    Store,
}

pub(crate) fn router() -> ToolRouter<CustomerHandler> {
    ToolRouter::new()
        .with_route(route::<get_customer_info::GetCustomerInfo>())
        .with_route(route::<get_recent_customers::GetRecentCustomers>())
        .with_route(route::<create_support_ticket::CreateSupportTicket>())
        .with_route(route::<calculate_account_value::CalculateAccountValue>())
}

fn route<T: CustomerTool>() -> ToolRoute<CustomerHandler> {
    let input = schema_of::<T::Arguments>();
    let rules = Rules::of(&input);
    let tool = Tool::new(T::NAME, T::DESCRIPTION, Arc::new(input))
        .with_title(T::TITLE)
        .with_raw_output_schema(Arc::new(schema_of::<T::Outcome>()))
        .with_annotations(
            ToolAnnotations::with_title(T::TITLE)
                .read_only(matches!(T::EFFECT, Effect::Reads))
                .destructive(false)
                .open_world(false),
        );
    let rules = Arc::new(rules);
    ToolRoute::new_dyn(tool, move |context: ToolCallContext<'_, CustomerHandler>| {
        let rules = Arc::clone(&rules);
        Box::pin(async move {
            let caller = caller_of(&context)?;
            let handler = context.service;
            let arguments = Value::Object(context.arguments.unwrap_or_default());
            let answer = match outcome::<T>(&rules, &handler.store, &caller, arguments).await {
                Ok(text) => structured(&text)?,
                Err(failure) => {
                    failure.report::<T>(&handler.events);
                    CallToolResult::error(vec![ContentBlock::text(failure.to_string())])
                }
            };
            Ok(CallToolResponse::from(answer))
        })
    })
}

async fn outcome<T: CustomerTool>(
    rules: &Rules,
    store: &Store,
    caller: &Caller,
    arguments: Value,
) -> Result<String, ToolFailure> {
    rules.check(&arguments)?;
    let arguments: T::Arguments =
        serde_json::from_value(arguments).map_err(|e| ToolFailure::Arguments(e.to_string()))?;
    let outcome = T::call(store, caller, arguments).await.map_err(|error| match error {
        StoreError::NoSuchCustomer(_) => ToolFailure::NoSuchCustomer(error),
        _ => {
            tracing::error!(tool = T::NAME, error = ?error, "the customer store failed");
            ToolFailure::Store
        }
    })?;
    serde_json::to_string(&outcome).map_err(|error| {
        tracing::error!(tool = T::NAME, %error, "an outcome cannot be written as JSON");
        ToolFailure::Store
    })
}

/// Structured content, and the same JSON as text for clients that read only that.
fn structured(text: &str) -> Result<CallToolResult, ErrorData> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let mut result = CallToolResult::structured(value);
    // The text keeps two decimals where a JSON number parsed and written again would not.
    result.content = vec![ContentBlock::text(text)];
    Ok(result)
}

/// The caller that [`crate::caller::require`] attached; nothing is served without one.
fn caller_of(context: &ToolCallContext<'_, CustomerHandler>) -> Result<Caller, ErrorData> {
    context
        .request_context
        .extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<Caller>())
        .cloned()
        .ok_or_else(|| ErrorData::internal_error("no caller", None))
}

impl ToolFailure {
    fn report<T: CustomerTool>(&self, events: &SecurityEvents) {
        match self {
            Self::Arguments(_) => events.record(Severity::Info, "arguments-refused", T::NAME),
            Self::NoSuchCustomer(_) => {}
            Self::Store => events.record(Severity::Error, "store-failed", T::NAME),
        }
    }
}

/// A tool's input schema, ready to check arguments. A schema that does not compile would leave
/// its tool unchecked, so such a tool refuses everything.
struct Rules(Result<Validator, String>);

impl Rules {
    fn of(schema: &JsonObject) -> Self {
        Self(jsonschema::validator_for(&Value::Object(schema.clone())).map_err(|e| e.to_string()))
    }

    fn check(&self, arguments: &Value) -> Result<(), ToolFailure> {
        let validator = self.0.as_ref().map_err(|cause| ToolFailure::Arguments(cause.clone()))?;
        let complaints: Vec<String> = validator
            .iter_errors(arguments)
            .take(MAX_COMPLAINTS)
            .map(|error| format!("`{}`: {}", error.instance_path(), error.masked()))
            .collect();
        if complaints.is_empty() {
            return Ok(());
        }
        Err(ToolFailure::Arguments(complaints.join("; ")))
    }
}

/// JSON Schema 2020-12 with everything inlined: some clients resolve no references. Formats that
/// no standard knows are left out: some clients complain of them.
fn schema_of<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    RecursiveTransform(|schema: &mut Schema| {
        if schema.get("type").is_some_and(|of| of == "integer") {
            schema.remove("format");
        }
    })
    .transform(&mut schema);
    schema.as_object().cloned().unwrap_or_default()
}

/// Enough to mend a call, without writing a book.
const MAX_COMPLAINTS: usize = 4;

#[cfg(test)]
mod tests;
