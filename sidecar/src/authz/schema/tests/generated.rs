//! Schemas and instances that are made up.

use proptest::prelude::*;

use super::*;

/// A schema that can be written, and for which values can be made.
#[derive(Debug, Clone)]
enum Node {
    Boolean,
    Integer,
    Number,
    Text,
    Time,
    Address,
    Enum(Vec<String>),
    List(Box<Node>),
    Map(Box<Node>),
    Object(Vec<(String, Node, bool)>, Option<Box<Node>>),
    Nullable(Box<Node>, bool),
    Either(Vec<Node>, bool),
    Both(Box<Node>),
    Defined(Box<Node>),
    Anything,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        "[a-z$-]{1,4}",
        Just("in".to_owned()),
        Just("*".to_owned()),
        "\\PC{1,3}"
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::Boolean),
        Just(Node::Integer),
        Just(Node::Number),
        Just(Node::Text),
        Just(Node::Time),
        Just(Node::Address),
        Just(Node::Anything),
        prop::collection::vec("[a-c]{1,2}", 1..3).prop_map(Node::Enum),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let member = (name(), inner.clone(), any::<bool>());
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Node::List),
            boxed().prop_map(Node::Map),
            (prop::collection::vec(member, 1..4), prop::option::of(boxed()))
                .prop_map(|(members, others)| Node::Object(distinct(members), others)),
            (boxed(), any::<bool>()).prop_map(|(inner, any_of)| Node::Nullable(inner, any_of)),
            (prop::collection::vec(inner.clone(), 2..3), any::<bool>())
                .prop_map(|(nodes, any_of)| Node::Either(nodes, any_of)),
            boxed().prop_map(Node::Both),
            boxed().prop_map(Node::Defined),
        ]
    })
}

/// Names that differ in more than case.
fn distinct(members: Vec<(String, Node, bool)>) -> Vec<(String, Node, bool)> {
    let mut seen = BTreeSet::new();
    members
        .into_iter()
        .filter(|(name, ..)| seen.insert(name.to_lowercase().to_uppercase()))
        .collect()
}

impl Node {
    /// Its schema; what is referred to goes to `defined`.
    fn schema(&self, defined: &mut Vec<Value>) -> Value {
        match self {
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Integer => json!({ "type": "integer" }),
            Self::Number => json!({ "type": "number" }),
            Self::Text => json!({ "type": "string" }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::Address => json!({ "type": "string", "format": "ipv4" }),
            Self::Enum(texts) => json!({ "enum": texts.iter().collect::<BTreeSet<_>>() }),
            Self::List(inner) => json!({ "type": "array", "items": inner.schema(defined) }),
            Self::Map(inner) => {
                json!({ "type": "object", "additionalProperties": inner.schema(defined) })
            }
            Self::Object(members, others) => {
                let mut schema = object(json!({}));
                for (name, node, _) in members {
                    schema["properties"][name] = node.schema(defined);
                }
                let required = members.iter().filter(|(_, _, required)| *required);
                schema["required"] =
                    required.map(|(name, ..)| Value::from(name.as_str())).collect();
                if let Some(others) = others {
                    schema["additionalProperties"] = others.schema(defined);
                }
                schema
            }
            Self::Nullable(inner, true) => {
                json!({ "anyOf": [inner.schema(defined), { "type": "null" }] })
            }
            Self::Nullable(inner, false) => match inner.schema(defined) {
                Value::Object(mut schema) if schema.get("type").is_some_and(Value::is_string) => {
                    let of = schema["type"].clone();
                    schema.insert("type".to_owned(), json!([of, "null"]));
                    Value::Object(schema)
                }
                other => json!({ "anyOf": [{ "type": "null" }, other] }),
            },
            Self::Either(nodes, any_of) => {
                let schemas: Vec<Value> = nodes.iter().map(|node| node.schema(defined)).collect();
                json!({ if *any_of { "anyOf" } else { "oneOf" }: schemas })
            }
            Self::Both(inner) => {
                json!({ "allOf": [inner.schema(defined), { "description": "both" }] })
            }
            Self::Defined(inner) => {
                let schema = inner.schema(defined);
                defined.push(schema);
                json!({ "$ref": format!("#/$defs/d{}", defined.len() - 1) })
            }
            Self::Anything => json!({}),
        }
    }

    fn value(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Boolean => any::<bool>().prop_map(Value::from).boxed(),
            Self::Integer => (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from).boxed(),
            Self::Number => prop_oneof![
                any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
                any::<i32>().prop_map(Value::from),
            ]
            .boxed(),
            Self::Text => "\\PC{0,6}".prop_map(Value::from).boxed(),
            Self::Time => (0_i64..4_000_000_000)
                .prop_map(|s| Value::from(jiff::Timestamp::from_second(s).unwrap().to_string()))
                .boxed(),
            Self::Address => any::<[u8; 4]>()
                .prop_map(|bytes| Value::from(std::net::Ipv4Addr::from(bytes).to_string()))
                .boxed(),
            Self::Enum(texts) => prop::sample::select(texts.clone()).prop_map(Value::from).boxed(),
            Self::List(inner) => {
                prop::collection::vec(inner.value(), 0..3).prop_map(Value::from).boxed()
            }
            Self::Map(inner) => {
                members_of(prop::collection::vec(("[a-z]{1,2}", inner.value()), 0..3))
            }
            Self::Object(members, others) => {
                let members: Vec<BoxedStrategy<Option<(String, Value)>>> = members
                    .iter()
                    .map(|(name, node, required)| {
                        let name = name.clone();
                        let member =
                            node.value().prop_map(move |value| Some((name.clone(), value)));
                        if *required {
                            member.boxed()
                        } else {
                            prop_oneof![member, Just(None)].boxed()
                        }
                    })
                    .collect();
                let others = match others {
                    Some(others) => {
                        prop::collection::vec(("[A-Z]{4}[0-9]", others.value()), 0..2).boxed()
                    }
                    None => Just(Vec::new()).boxed(),
                };
                let all = (members, others);
                members_of(all.prop_map(|(named, others)| {
                    named.into_iter().flatten().chain(others).collect()
                }))
            }
            Self::Nullable(inner, _) => prop_oneof![inner.value(), Just(Value::Null)].boxed(),
            Self::Either(nodes, _) => {
                let values: Vec<_> = nodes.iter().map(Self::value).collect();
                prop::strategy::Union::new(values).boxed()
            }
            Self::Both(inner) | Self::Defined(inner) => inner.value(),
            Self::Anything => prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i32>().prop_map(Value::from),
                "\\PC{0,4}".prop_map(Value::from),
                prop::collection::vec(any::<i8>(), 0..2).prop_map(Value::from),
                Just(json!({ "x": [null] })),
            ]
            .boxed(),
        }
    }
}

fn members_of(
    members: impl Strategy<Value = Vec<(String, Value)>> + 'static,
) -> BoxedStrategy<Value> {
    members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
}

/// A tool's arguments: an object that holds two nodes.
fn tool_and_arguments() -> impl Strategy<Value = (Value, Value)> {
    let arguments = (node(), any::<bool>(), node(), any::<bool>()).prop_map(
        |(a, a_required, b, b_required)| {
            Node::Object(
                vec![("a".to_owned(), a, a_required), ("b".to_owned(), b, b_required)],
                None,
            )
        },
    );
    arguments.prop_flat_map(|node| {
        let mut defined = Vec::new();
        let mut schema = node.schema(&mut defined);
        for (number, definition) in defined.into_iter().enumerate() {
            schema["$defs"][format!("d{number}")] = definition;
        }
        (Just(schema), node.value())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The round trip: what the JSON Schema lets through, the Cedar schema can hold.
    #[test]
    fn every_valid_instance_makes_a_valid_context((schema, arguments) in tool_and_arguments()) {
        let typed = Typed::of("t", &schema);
        let Ok(Json::Object(read)) = Json::read(arguments.to_string().as_bytes()) else {
            // Names that differ in case alone are refused before.
            return Ok(());
        };
        // Of `oneOf` both may hold, and then none counts.
        if typed.valid(&read).is_err() { return Ok(()) }
        prop_assert_eq!(typed.takes(&arguments), Ok(()), "{} for {}", arguments, schema);
    }
}
