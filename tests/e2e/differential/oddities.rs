//! Values, members and bodies that readers of JSON disagree about.
//!
//! They are lines of text files beside this one; `%` and two digits stand for a byte.

/// Something odd and what it is called.
pub(super) type Named = (String, Vec<u8>);

/// Values.
pub(super) fn values() -> Vec<Named> {
    let mut all = lines(include_str!("values.txt"));
    let mut add = |name: String, text: String| all.push((name, text.into_bytes()));
    for depth in [20, 27, 28, 29, 30, 31, 32, 33, 64, 1100] {
        add(format!("{depth} arrays"), format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
        add(format!("{depth} objects"), format!("{open}1{close}"));
    }
    for length in [300, 5_000, 70_000] {
        add(format!("a string of {length}"), format!("\"{}\"", "x".repeat(length)));
        add(format!("a number of {length}"), "7".repeat(length));
        add(format!("an array of {length}"), format!("[{}1]", "1,".repeat(length)));
        add(format!("a fraction of {length}"), format!("1.{}", "3".repeat(length)));
    }
    all
}

/// More members for an object that has some, names and values.
pub(super) fn members() -> Vec<Named> {
    let mut all = lines(include_str!("members.txt"));
    let long = "n".repeat(10_000);
    all.push(("a long name".to_owned(), format!("\"{long}\":1").into()));
    all.push(("two long names".to_owned(), format!("\"{long}a\":1,\"{long}b\":2").into()));
    all
}

/// Whole bodies.
pub(super) fn bodies() -> Vec<Named> {
    let text = include_str!("bodies.txt").replace("<call>", CALL).replace("<ping>", PING);
    let mut all = lines(&text);
    let units = |to: fn(u16) -> [u8; 2]| CALL.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let wide = |to: fn(u32) -> [u8; 4]| CALL.chars().flat_map(|c| to(u32::from(c))).collect();
    let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
    all.push(("marked UTF-16LE".to_owned(), [b"\xff\xfe".as_slice(), &little].concat()));
    all.push(("marked UTF-16BE".to_owned(), [b"\xfe\xff".as_slice(), &big].concat()));
    all.push(("UTF-16LE".to_owned(), little));
    all.push(("UTF-16BE".to_owned(), big));
    all.push(("UTF-32LE".to_owned(), wide(u32::to_le_bytes)));
    all.push(("UTF-32BE".to_owned(), wide(u32::to_be_bytes)));
    all.push(("nothing".to_owned(), Vec::new()));
    all
}

fn lines(text: &str) -> Vec<Named> {
    text.lines().map(|line| (line.to_owned(), bytes(line))).collect()
}

fn bytes(line: &str) -> Vec<u8> {
    let mut parts = line.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        out.push(u8::from_str_radix(digits, 16).expect(line));
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"text":"a"}}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
