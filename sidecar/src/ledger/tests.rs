//! A ledger as a whole: what it keeps, and what is found out when somebody changes it.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    checkpoint::Verifier,
    eraser::Eraser,
    reader::Reader,
    verification::{Fault, Verification, verify},
    *,
};
use crate::{
    config::{Durability, Retention},
    rejection::Rejection,
    telemetry::ABANDONED,
};

/// A ledger that cannot be written for a while.
mod several_files;
mod stuck;

/// The first segment.
const SEGMENT: &str = "000000000000.db";
const ORIGIN: &str = "gate.example.com/mcp";

fn config(directory: PathBuf) -> LedgerConfig {
    LedgerConfig {
        directory,
        durability: Durability::Process,
        checkpoint_every: NonZeroU64::new(5).unwrap(),
        checkpoint_interval: Duration::from_secs(3600),
        segment_bytes: NonZeroU64::MAX,
        segment_age: Duration::from_secs(3600),
        retention: Retention::default(),
    }
}

/// A ledger of so many refusals, closed; and its key.
async fn kept(directory: &Path, entries: usize) -> Verifier {
    kept_by(&config(directory.to_owned()), entries).await
}

async fn kept_by(config: &LedgerConfig, entries: usize) -> Verifier {
    let (ledger, directory) = (Ledger::new(WatchConfig::default()), &config.directory);
    ledger.open(config, ORIGIN).await.unwrap();
    for number in 0..entries {
        let mut record = ledger.begin(([192, 0, 2, 1], 1).into(), None);
        record.record_subject(if number % 2 == 0 { "alice" } else { "bob" });
        assert_eq!(record.refused(Rejection::NoToken).await, Rejection::NoToken);
    }
    drop(ledger);
    let_go_of(directory).await;
    Signer::open(&directory.join(KEY), ORIGIN).unwrap().verifier()
}

/// The writer ends by itself once nobody can write any more.
async fn let_go_of(directory: &Path) {
    let lock = directory.join(LOCK);
    for _ in 0..500 {
        if File::options().append(true).open(&lock).unwrap().try_lock().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn verified(directory: &Path, verifier: &Verifier) -> Verification {
    let mut reader = Reader::open(directory).await.unwrap();
    verify(&mut reader, Some(verifier), |_| {}).await.unwrap()
}

/// Whoever can write to the file can take SQLite's own guard away.
async fn tamper(directory: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(directory.join(SEGMENT));
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    let guards = "DROP TRIGGER entries_stay; DROP TRIGGER entries_are_not_changed;
                  DROP TRIGGER entries_are_erased_alone;";
    sqlx::raw_sql(guards).execute(&mut connection).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_dropped_unwritten_writes_itself_once() {
    let ledger = Ledger::new(WatchConfig::default());
    let mut records = ledger.subscribe();
    drop(ledger.begin(([127, 0, 0, 1], 1).into(), None));
    let record = records.try_recv().unwrap();
    assert_eq!((record.decision, record.reason), (Decision::Deny, ABANDONED));
    let mut open = ledger.begin(([127, 0, 0, 1], 1).into(), None);
    assert_eq!(open.refused(Rejection::NoToken).await, Rejection::NoToken);
    drop(open);
    assert_eq!(records.try_recv().unwrap().reason, "no-token");
    assert!(records.try_recv().is_err(), "one record for each request");
}

#[tokio::test]
async fn a_ledger_goes_on_where_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let verifier = kept(home.path(), 12).await;
    assert_eq!(kept(home.path(), 11).await, verifier);
    let found = verified(home.path(), &verifier).await;
    assert_eq!((found.entries, found.signed, found.faults), (23, 23, Vec::new()));
    assert!(found.checkpoints >= 4, "{}", found.checkpoints);
}

#[tokio::test]
async fn whether_a_ledger_can_be_written_is_said_before_a_gate_starts() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path().join("ledger"));
    let said = async || look(&config, ORIGIN).await.map_err(|error| error.to_string());
    assert!(said().await.unwrap().ends_with("is made at the first start"));
    assert!(!config.directory.exists());
    kept_by(&config, 12).await;
    assert!(said().await.unwrap().ends_with("holds 12 entries and can be written"));
    let ledger = Ledger::new(WatchConfig::default());
    ledger.open(&config, ORIGIN).await.unwrap();
    assert!(said().await.unwrap().starts_with("a gate writes to"));
    drop(ledger);
    let_go_of(&config.directory).await;
    tamper(&config.directory, "DELETE FROM entries WHERE seq = 3").await;
    assert!(said().await.unwrap_err().contains("not those that were signed"));
}

#[tokio::test]
async fn two_gates_do_not_write_to_one_ledger() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path().to_owned());
    let first = Ledger::new(WatchConfig::default());
    first.open(&config, ORIGIN).await.unwrap();
    let refused =
        Ledger::new(WatchConfig::default()).open(&config, ORIGIN).await.unwrap_err().to_string();
    assert!(refused.contains("another gate writes to it"), "{refused}");
}

#[tokio::test]
async fn who_is_erased_is_gone_and_the_tree_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let verifier = kept(home.path(), 10).await;
    let mut eraser = Eraser::open(home.path()).unwrap();
    eraser.erase(&[0, 2, 4, 6, 8]).await.unwrap();
    drop(eraser);
    let found = verified(home.path(), &verifier).await;
    assert_eq!((found.erased, found.faults), (5, Vec::new()));
    for file in std::fs::read_dir(home.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(5).any(|some| some == b"alice"));
    }
}

#[tokio::test]
async fn sqlite_itself_refuses_changes() {
    let home = tempfile::tempdir().unwrap();
    kept(home.path(), 3).await;
    let options = SqliteConnectOptions::new().filename(home.path().join(SEGMENT));
    let mut connection = options.connect().await.unwrap();
    for statement in [
        "DELETE FROM entries WHERE seq = 1",
        "UPDATE entries SET leaf = '{}' WHERE seq = 1",
        "UPDATE entries SET seq = 9 WHERE seq = 1",
        "UPDATE entries SET personal = '{}' WHERE seq = 1",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("ledger"), "{statement}");
    }
}

#[tokio::test]
async fn what_is_removed_added_or_moved_is_named() {
    for (statements, expected) in [
        ("DELETE FROM entries WHERE seq = 7", Fault::Removed { first: 7, last: 7 }),
        ("DELETE FROM entries WHERE seq >= 20", Fault::Removed { first: 20, last: 22 }),
        ("DELETE FROM entries WHERE seq < 2", Fault::Removed { first: 0, last: 1 }),
        (
            "UPDATE entries SET seq = -1 WHERE seq = 3; UPDATE entries SET seq = 3 WHERE seq = 4;
             UPDATE entries SET seq = 4 WHERE seq = -1",
            Fault::Altered {
                seq: 3,
                request: None,
                what: "it stands in another's place".to_owned(),
            },
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let verifier = kept(home.path(), 23).await;
        tamper(home.path(), statements).await;
        let mut found = verified(home.path(), &verifier).await;
        for fault in &mut found.faults {
            if let Fault::Altered { request, .. } = fault {
                *request = None;
            }
        }
        assert!(found.faults.contains(&expected), "{statements}: {:?}", found.faults);
        // A gate does not go on with what is not what it signed.
        let refused =
            Ledger::new(WatchConfig::default()).open(&config(home.path().to_owned()), ORIGIN).await;
        assert!(refused.is_err(), "{statements}");
    }
}

/// Whoever also makes the hashes fit is found out by what was signed.
#[tokio::test]
async fn an_entry_that_is_made_anew_is_not_the_one_that_was_signed() {
    let home = tempfile::tempdir().unwrap();
    let verifier = kept(home.path(), 23).await;
    let other = Entry::of(&DecisionRecord::new(([192, 0, 2, 9], 1).into()), None).placed(8);
    tamper(
        home.path(),
        &format!(
            "UPDATE entries SET leaf = '{}', personal = '{}', salt = X'{}', hash = X'{}' WHERE seq = 8",
            other.leaf,
            other.personal.unwrap(),
            HEXLOWER.encode(&other.salt.unwrap()),
            HEXLOWER.encode(&other.hash)
        ),
    )
    .await;
    let found = verified(home.path(), &verifier).await;
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    let Fault::NotAsSigned { after, up_to } = found.faults[0] else { panic!("{:?}", found.faults) };
    assert!(after <= 8 && 8 < up_to && up_to - after <= 10, "{after} {up_to}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn one_byte_that_is_flipped_is_found_where_it_is(
        seq in 0_i64..12,
        column in prop::sample::select(vec!["leaf", "personal", "salt", "hash"]),
        position in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = tempfile::tempdir().unwrap();
            let verifier = kept(home.path(), 12).await;
            let mut reader = Reader::open(home.path()).await.unwrap();
            let entry = reader.from(seq, 1).await.unwrap().remove(0);
            drop(reader);
            let mut bytes = match column {
                "leaf" => entry.leaf.into_bytes(),
                "personal" => entry.personal.unwrap().into_bytes(),
                "salt" => entry.salt.unwrap(),
                _ => entry.hash,
            };
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let value = match column {
                "leaf" | "personal" => format!("CAST(X'{}' AS TEXT)", HEXLOWER.encode(&bytes)),
                _ => format!("X'{}'", HEXLOWER.encode(&bytes)),
            };
            tamper(home.path(), &format!("UPDATE entries SET {column} = {value} WHERE seq = {seq}")).await;
            let found = verified(home.path(), &verifier).await;
            let named = found.faults.iter().any(|fault| {
                matches!(fault, Fault::Altered { seq: at, .. } if *at == seq)
            });
            assert!(named, "{column} {position}: {:?}", found.faults);
        });
    }
}
