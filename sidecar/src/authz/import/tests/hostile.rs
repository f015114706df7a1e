//! Files that nobody wrote in good faith.

use super::*;

const BOTH: [Neighbour; 2] = [Neighbour::ToolHive, Neighbour::AgentCore];

#[test]
fn what_is_too_deep_or_too_long_is_left_and_the_rest_is_read() {
    let good = r#"permit (principal, action, resource);"#;
    let policy = |condition: &str| {
        format!("permit (principal, action, resource) when {{ {condition} }};\n{good}")
    };
    let brackets = format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000));
    let behind_a_return = format!("true // \r && {brackets}");
    let long = vec!["context.arg_city"; 5_000].join(" && ");
    let open = "(".repeat(50_000);
    for condition in [&brackets, &behind_a_return, &long, &open] {
        for from in BOTH {
            let imported = read(from, "a.cedar", &policy(condition), &home()).unwrap();
            let [bad, good] = imported.statements.as_slice() else { panic!("{imported:?}") };
            let reason = bad.reason.as_ref().unwrap();
            assert!(reason.contains("nested") || reason.contains("16 KiB"), "{reason}");
            assert!(good.policy.is_some());
        }
    }
}

#[test]
fn long_chains_are_translated_up_to_a_bound() {
    let chain = |links: usize| vec!["principal.claim_a"; links].join(" == \"\" && ") + " == \"\"";
    let nested = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    let winding = |turns: usize| {
        format!("({} true {})", "if true then ".repeat(turns), " else true".repeat(turns))
    };
    let parts = format!("context.arg_city{} == 1", ".a".repeat(7_000));
    let path = format!("context has arg_city{}", ".a".repeat(7_000));
    for (condition, carried) in [
        (chain(100), true),
        (chain(200), true),
        (chain(700), false),
        (nested, true),
        (winding(50), true),
        (winding(700), false),
        (parts, false),
        (vec!["1"; 7_500].join("+"), false),
        (path, false),
    ] {
        let text = format!(
            "permit (principal, action, resource == Tool::\"get_weather\") when {{ {condition} }};"
        );
        let imported = read(Neighbour::ToolHive, "a.cedar", &text, &home()).unwrap();
        let statement = &imported.statements[0];
        assert_eq!(statement.policy.is_some(), carried, "{condition}: {:?}", statement.reason);
        let reason = statement.reason.as_deref().unwrap_or("levels");
        assert!(reason.contains("levels") || reason.contains("16 KiB"), "{reason}");
    }
}

#[test]
fn what_is_no_text_of_policies_is_refused() {
    for (name, text, part) in [
        ("a.cedar", "", "holds no policy"),
        ("a.cedar", "// nothing\n;;;\n", "holds no policy"),
        ("a.json", "{", "no JSON"),
        ("a.yaml", "a: [", "no YAML"),
        ("a.yaml", "just a text", "holds no `cedar`"),
        ("a.json", r#"{"type": "httpv1", "http": {}}"#, "`httpv1`"),
        ("a.json", r#"{"cedar": {"policies": "permit"}}"#, "no list"),
        ("a.json", r#"{"cedar": {"policies": [1]}}"#, "no text"),
        ("a.json", r#"{"cedar": {"policies": []}}"#, "holds no `cedar.policies`"),
        ("a.json", r#"{"cedar": {"policies": ["x"], "entities_json": "{"}}"#, "no JSON"),
    ] {
        let told = read(Neighbour::ToolHive, name, text, &home()).unwrap_err();
        assert!(told.contains(part), "{part} in {told}");
    }
    let deep = format!("{{\"cedar\": {}", "[".repeat(100_000));
    assert!(read(Neighbour::ToolHive, "a.json", &deep, &home()).is_err());
    let deep = format!("cedar: {}", "[".repeat(100_000));
    assert!(read(Neighbour::ToolHive, "a.yaml", &deep, &home()).is_err());
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    assert!(read(Neighbour::ToolHive, "a.yaml", bomb, &home()).is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.cedar");
    for (bytes, part) in [(vec![0xff; 10], "UTF-8"), (vec![b' '; 2 << 20], "larger")] {
        std::fs::write(&path, bytes).unwrap();
        let told = import(Neighbour::AgentCore, &path, &home()).unwrap_err();
        assert!(told.contains(part), "{told}");
    }
    assert!(import(Neighbour::AgentCore, &folder.path().join("none"), &home()).is_err());
    let many = "x;".repeat(20_000);
    assert!(read(Neighbour::AgentCore, "a", &many, &home()).unwrap_err().contains("at most"));
}

#[test]
fn what_is_unbalanced_stops_nothing() {
    let text = "permit (principal, action;\npermit (principal, action, resource)) when { };\n\
        forbid (principal == ?principal, action, resource);\npermit (principal, action, resource);\n\
        permit (principal, action, \"";
    for from in BOTH {
        let imported = read(from, "a.cedar", text, &home()).unwrap();
        let carried: Vec<bool> = imported.statements.iter().map(|s| s.policy.is_some()).collect();
        assert_eq!(carried, [false, false, false, true, false]);
        assert_eq!(imported.statements[2].effect, Some("forbid"));
        let places: Vec<&str> = imported.statements.iter().map(|s| s.place.as_str()).collect();
        assert_eq!(places, ["line 1", "line 2", "line 3", "line 4", "line 5"]);
    }
}

proptest::proptest! {
    /// Whatever is in a file, it is told of and nothing gives up.
    #[test]
    fn nothing_gives_up(text in r#"([@a-z"(){};,:&|!/\\\n\r.? =]|permit|forbid|principal|action|resource|when|context|has|arg_x|claim_x){0,60}"#) {
        for from in BOTH {
            if let Err(what) = read(from, "a.cedar", &text, &Home::default()) {
                proptest::prop_assert!(what.contains("holds no policy"), "{what}");
            }
        }
    }
}
