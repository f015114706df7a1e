use super::*;

/// While it is stuck nobody may be sent to it who would make it try.
#[tokio::test]
async fn a_ledger_that_was_stuck_finds_out_by_itself_that_it_is_not() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(WatchConfig::default());
    let interval = Duration::from_millis(100);
    let config = LedgerConfig { checkpoint_interval: interval, ..config(home.path().to_owned()) };
    ledger.open(&config, ORIGIN).await.unwrap();
    let refuse =
        async || ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await;
    assert_eq!(refuse().await, Rejection::NoToken);
    assert!(ledger.measures().is_writable());
    let options = SqliteConnectOptions::new().filename(home.path().join(SEGMENT));
    let mut holder = options.connect().await.unwrap();
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(refuse().await, Rejection::LedgerUnavailable);
    let measures = ledger.measures();
    assert!(!measures.is_writable() && measures.lost.get() == 1 && measures.failures.get() == 1);
    held.rollback().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !measures.is_writable() {
            tokio::time::sleep(interval).await;
        }
    })
    .await
    .unwrap();
    assert_eq!((measures.entries.get(), measures.write.read().count()), (1, 2));
}

/// While somebody holds the file, nothing is written and nothing is answered as if it were.
#[tokio::test]
async fn what_cannot_be_written_in_time_is_refused_and_later_things_are_not() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(WatchConfig::default());
    ledger.open(&config(home.path().to_owned()), ORIGIN).await.unwrap();
    let options = SqliteConnectOptions::new().filename(home.path().join(SEGMENT));
    let mut holder = options.connect().await.unwrap();
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await;
    assert_eq!(refused, Rejection::LedgerUnavailable);
    held.rollback().await.unwrap();
    let refused = ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await;
    assert_eq!(refused, Rejection::NoToken);
}
