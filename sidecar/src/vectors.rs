//! Public test vectors: looked for in `$CEDARGATE_TEST_VECTORS`, else beside the checkout.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where `name` lies; without it the test is reported as skipped, and fails where nothing may be.
pub(crate) fn find(name: &str, source: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let root = std::env::var_os("CEDARGATE_TEST_VECTORS").map_or_else(beside, PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    let what = format!("{source} as $CEDARGATE_TEST_VECTORS/{name}");
    // The macros that print are captured, the stream itself is not.
    drop(writeln!(std::io::stderr(), "skipped: needs {what}"));
    assert!(std::env::var_os("CEDARGATE_TEST_NOTHING_SKIPPED").is_none(), "needs {what}");
    None
}
