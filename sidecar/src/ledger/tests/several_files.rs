//! Of several files one ledger, and as much of it as is kept.

use super::*;

/// A ledger of which each checkpoint seals a segment.
fn in_segments(directory: &Path) -> LedgerConfig {
    LedgerConfig { segment_bytes: NonZeroU64::MIN, ..config(directory.to_owned()) }
}

#[tokio::test]
async fn segments_are_one_ledger() {
    let home = tempfile::tempdir().unwrap();
    let config = in_segments(home.path());
    let verifier = kept_by(&config, 23).await;
    assert_eq!(kept_by(&config, 20).await, verifier);
    let all = segments(home.path()).unwrap();
    assert!(all.len() >= 7, "{all:?}");
    let found = verified(home.path(), &verifier).await;
    assert_eq!((found.entries, found.signed, found.faults), (43, 43, Vec::new()));

    // They are read as one, forwards and backwards, from anywhere.
    let mut reader = Reader::open(home.path()).await.unwrap();
    for seq in 0..43 {
        assert_eq!(reader.from(seq, 1).await.unwrap()[0].seq, seq);
        assert_eq!(reader.before(seq + 1, 1).await.unwrap()[0].seq, seq);
    }
    assert!(reader.from(43, 9).await.unwrap().is_empty());
    assert!(reader.before(0, 9).await.unwrap().is_empty());
    let leaf = reader.from(40, 1).await.unwrap().remove(0).leaf;
    let request = leaf.get(15..51).unwrap();
    assert_eq!(reader.about(request).await.unwrap()[0].seq, 40);
    let leaves = reader.leaves().await.unwrap();
    assert_eq!(leaves.root_of(43).map(|root| HEXLOWER.encode(&root)), Some(found.root));

    Eraser::open(home.path()).unwrap().erase(&[0, 21, 42]).await.unwrap();
    assert_eq!(verified(home.path(), &verifier).await.erased, 3);

    // One that is gone is missed.
    let (gone, next) = (&all[2], &all[3]);
    gone.remove().unwrap();
    let missed = Fault::Removed {
        first: i64::try_from(gone.first).unwrap(),
        last: i64::try_from(next.first).unwrap() - 1,
    };
    let found = verified(home.path(), &verifier).await;
    assert!(found.faults.contains(&missed), "{:?}", found.faults);
}

#[tokio::test]
async fn what_is_read_goes_on_into_segments_that_are_begun_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let config = in_segments(home.path());
    kept_by(&config, 4).await;
    let mut reader = Reader::open(home.path()).await.unwrap();
    assert_eq!(reader.from(0, 100).await.unwrap().len(), 4);
    kept_by(&config, 12).await;
    let mut next = 4;
    while let Some(last) = reader.from(next, 100).await.unwrap().last() {
        next = last.seq + 1;
    }
    assert_eq!(next, 16);
}

#[tokio::test]
async fn what_is_too_much_is_removed_and_that_is_on_record() {
    let home = tempfile::tempdir().unwrap();
    let keep_bytes = NonZeroU64::new(200_000);
    let retention = Retention { keep_bytes, ..Retention::default() };
    let config = LedgerConfig { retention, ..in_segments(home.path()) };
    let verifier = kept_by(&config, 90).await;
    let all = segments(home.path()).unwrap();
    let first = all[0].first;
    assert!(first > 0 && all.len() > 1, "{all:?}");
    let found = verified(home.path(), &verifier).await;
    assert_eq!((found.removed, found.faults), (first, Vec::new()));
    // What is left is proved as it was.
    let mut reader = Reader::open(home.path()).await.unwrap();
    let leaves = reader.leaves().await.unwrap();
    assert!(leaves.inclusion_proof(first, found.signed).is_some());
    assert!(leaves.inclusion_proof(first - 1, found.signed).is_none());
    // A gate goes on.
    kept_by(&config, 3).await;
    assert_eq!(verified(home.path(), &verifier).await.faults, []);

    // Of what somebody else removes nothing is on record.
    let all = segments(home.path()).unwrap();
    let next = all[1].first;
    all[0].remove().unwrap();
    let found = verified(home.path(), &verifier).await;
    let (gone, last) = (found.removed, i64::try_from(next).unwrap() - 1);
    assert!(gone < next);
    let missed = Fault::Removed { first: i64::try_from(gone).unwrap(), last };
    assert!(found.faults.contains(&missed), "{:?}", found.faults);
}

#[tokio::test]
async fn what_is_too_old_expires_from_the_oldest_on_and_the_last_segment_never() {
    let home = tempfile::tempdir().unwrap();
    kept_by(&in_segments(home.path()), 12).await;
    let count = segments(home.path()).unwrap().len();
    let day = Duration::from_secs(24 * 3_600);
    let retention = Retention { keep_for: Some(day), ..Retention::default() };
    let after = async |time: Duration| {
        retention::expired(home.path(), retention, jiff::Timestamp::now() + time).await.unwrap()
    };
    assert!(after(day / 2).await.is_empty());
    let expired = after(day * 2).await;
    assert_eq!(expired.len(), count - 1);
    assert!(expired.iter().all(|expired| expired.why == retention::Why::Age));
    assert_eq!((expired[0].segment.first, expired[0].end), (0, expired[1].segment.first));
}

#[tokio::test]
async fn a_segment_does_not_go_on_after_another_past() {
    let home = tempfile::tempdir().unwrap();
    let verifier = kept_by(&in_segments(home.path()), 12).await;
    let last = segments(home.path()).unwrap().pop().unwrap();
    let options = SqliteConnectOptions::new().filename(&last.path);
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    sqlx::raw_sql("UPDATE segment SET roots = zeroblob(length(roots))")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let refused = Ledger::new(WatchConfig::default()).open(&in_segments(home.path()), ORIGIN).await;
    assert!(refused.unwrap_err().to_string().contains("not those that were signed"));
    for earlier in segments(home.path()).unwrap().iter().filter(|other| **other != last) {
        earlier.remove().unwrap();
    }
    let found = verified(home.path(), &verifier).await;
    let unsigned = |fault: &Fault| matches!(fault, Fault::NotAsSigned { .. });
    assert!(found.faults.iter().any(unsigned), "{:?}", found.faults);
}

#[tokio::test]
async fn what_was_half_made_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("000000000000.db.new"), "half").unwrap();
    let verifier = kept(home.path(), 3).await;
    assert_eq!(verified(home.path(), &verifier).await.faults, []);
}
