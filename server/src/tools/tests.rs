//! What the tools publish and what they refuse.

use serde_json::{Value, json};

use super::*;
use crate::store::DemoRows;

async fn open() -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("customers.sqlite"), DemoRows::Insert).await.unwrap();
    (home, store)
}

fn anyone() -> Caller {
    serde_json::from_value(
        json!({ "sub": "s", "subject_issuer": "i", "client_id": "c", "iat": 0, "exp": 0 }),
    )
    .unwrap()
}

async fn call<T: CustomerTool>(store: &Store, arguments: Value) -> Result<Value, String> {
    let rules = Rules::of(&schema_of::<T::Arguments>());
    outcome::<T>(&rules, store, &anyone(), arguments)
        .await
        .map(|text| serde_json::from_str(&text).unwrap())
        .map_err(|failure| failure.to_string())
}

#[test]
fn every_tool_publishes_an_object_schema_for_input_and_output() {
    for route in router() {
        let tool = route.attr;
        assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
        let output = tool.output_schema.expect("an output schema");
        assert_eq!(output["type"], "object", "{}", tool.name);
        for schema in
            [Value::Object((*tool.input_schema).clone()), Value::Object((*output).clone())]
        {
            assert!(!schema.to_string().contains("$ref"), "{}: {schema}", tool.name);
            assert!(!schema.to_string().contains("uint"), "{}: {schema}", tool.name);
            jsonschema::validator_for(&schema).unwrap();
        }
    }
}

#[test]
fn the_input_rules_stand_in_the_published_schema() {
    let ticket = Value::Object(schema_of::<create_support_ticket::Arguments>());
    assert_eq!(ticket["properties"]["customer_id"]["pattern"], "^[A-Z0-9]{5,10}$");
    assert_eq!(ticket["properties"]["subject"]["maxLength"], 200);
    assert_eq!(ticket["properties"]["description"]["maxLength"], 2000);
    let priorities = ticket["properties"]["priority"].to_string();
    for word in ["low", "normal", "high", "urgent"] {
        assert!(priorities.contains(word), "{priorities}");
    }
    let value = Value::Object(schema_of::<calculate_account_value::Arguments>());
    assert_eq!(value["properties"]["amounts"]["maxItems"], 100);
    assert_eq!(value["properties"]["amounts"]["items"]["maximum"].as_f64(), Some(1e6));
    let recent = Value::Object(schema_of::<get_recent_customers::Arguments>());
    assert_eq!(recent["properties"]["limit"]["maximum"], 100);
    assert_eq!(recent["properties"]["limit"]["default"], 10);
}

#[tokio::test]
async fn outcomes_are_as_their_schemas_say() {
    let (_home, store) = open().await;
    let known = json!({ "customer_id": "CUST67890" });
    let ticket = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "urgent"
    });
    let amounts = json!({ "customer_id": "CUST67890", "amounts": [150, 300, 13, 89] });
    conforms::<get_customer_info::GetCustomerInfo>(&store, known).await;
    conforms::<get_recent_customers::GetRecentCustomers>(&store, json!({})).await;
    conforms::<create_support_ticket::CreateSupportTicket>(&store, ticket).await;
    conforms::<calculate_account_value::CalculateAccountValue>(&store, amounts).await;
}

async fn conforms<T: CustomerTool>(store: &Store, arguments: Value) {
    let outcome = call::<T>(store, arguments).await.unwrap();
    let schema = Value::Object(schema_of::<T::Outcome>());
    jsonschema::validate(&schema, &outcome).unwrap_or_else(|e| panic!("{}: {e}", T::NAME));
}

#[tokio::test]
async fn account_calculation_of_the_article() {
    let (_home, store) = open().await;
    let arguments = json!({ "customer_id": "CUST67890", "amounts": [150, 300, 13, 89] });
    let rules = Rules::of(&schema_of::<calculate_account_value::Arguments>());
    let text = outcome::<calculate_account_value::CalculateAccountValue>(
        &rules,
        &store,
        &anyone(),
        arguments,
    )
    .await
    .unwrap();
    for part in [
        r#""total":552.00"#,
        r#""average":138.00"#,
        r#""count":4"#,
        r#""max_purchase":300.00"#,
        r#""min_purchase":13.00"#,
        r#""account_tier":"bronze""#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn recent_customers_come_newest_first() {
    let (_home, store) = open().await;
    let list = call::<get_recent_customers::GetRecentCustomers>(&store, json!({ "limit": 3 }))
        .await
        .unwrap();
    let ids: Vec<&str> = list["customers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|customer| customer["customer_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["CUST67890", "JOHNDOE123", "ABC123"]);
}

#[tokio::test]
async fn arguments_against_the_rules_are_refused_with_their_path() {
    let (_home, store) = open().await;
    let good = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low"
    });
    for (path, value) in [
        ("customer_id", json!("invalid-id!")),
        ("customer_id", json!("ABCD")),
        ("customer_id", json!("ABC123\n")),
        ("customer_id", json!(12345)),
        ("subject", json!("")),
        ("subject", json!(" ")),
        ("subject", json!("x".repeat(201))),
        ("description", json!("x".repeat(2001))),
        ("priority", json!("asap")),
        ("priority", json!(null)),
        ("another", json!(1)),
    ] {
        let mut arguments = good.clone();
        arguments[path] = value.clone();
        let refusal = call::<create_support_ticket::CreateSupportTicket>(&store, arguments)
            .await
            .unwrap_err();
        assert!(refusal.contains(path), "{path} = {value}: {refusal}");
    }
}

#[tokio::test]
async fn amounts_against_the_rules_are_refused() {
    let (_home, store) = open().await;
    for amounts in [
        json!([]),
        json!([-1]),
        json!([1_000_000.5]),
        json!([1.001]),
        json!(["1"]),
        json!([null]),
        json!(vec![1; 101]),
    ] {
        let arguments = json!({ "customer_id": "CUST67890", "amounts": amounts });
        let refusal =
            call::<calculate_account_value::CalculateAccountValue>(&store, arguments).await;
        assert!(refusal.is_err(), "{amounts}");
    }
}

#[tokio::test]
async fn text_is_stored_as_given() {
    let (home, store) = open().await;
    let subject = "<b>'); drop table ticket; -- ${jndi} `rm`</b> && curl";
    let arguments = json!({
        "customer_id": "ABC123", "subject": subject, "description": "d", "priority": "low"
    });
    let ticket =
        call::<create_support_ticket::CreateSupportTicket>(&store, arguments).await.unwrap();
    assert_eq!(ticket["subject"], subject);
    drop(store);
    let again = Store::open(&home.path().join("customers.sqlite"), DemoRows::Leave).await.unwrap();
    assert!(again.is_healthy().await);
}

#[tokio::test]
async fn an_unknown_customer_is_named_without_sql() {
    let (_home, store) = open().await;
    let ticket = json!({
        "customer_id": "NOBODY1", "subject": "s", "description": "d", "priority": "low"
    });
    let refusal =
        call::<create_support_ticket::CreateSupportTicket>(&store, ticket).await.unwrap_err();
    assert_eq!(refusal, "no customer `NOBODY1`");
}

#[tokio::test]
async fn a_broken_store_is_told_without_sql() {
    let (_home, store) = open().await;
    store.break_for_test().await;
    let refusal =
        call::<get_customer_info::GetCustomerInfo>(&store, json!({ "customer_id": "CUST67890" }))
            .await
            .unwrap_err();
    assert_eq!(
        refusal,
        "the customer store is not available; nothing was changed, try again later"
    );
    for word in ["select", "customer_id", "table", "sqlite"] {
        assert!(!refusal.to_lowercase().contains(word), "{refusal}");
    }
}
