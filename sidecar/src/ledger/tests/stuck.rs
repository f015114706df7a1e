use super::*;

const OFTEN: Duration = Duration::from_millis(100);

/// A ledger that looks often whether there is something to sign.
async fn signing_often(directory: &Path) -> Ledger {
    let ledger = Ledger::new(WatchConfig::default());
    let config = LedgerConfig { checkpoint_interval: OFTEN, ..config(directory.to_owned()) };
    ledger.open(&config, ORIGIN).await.unwrap();
    ledger
}

async fn refuse(ledger: &Ledger) -> Rejection {
    ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await
}

/// Who can keep others from writing.
async fn holder(directory: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(directory.join(SEGMENT)).connect().await.unwrap()
}

/// What nobody waits for is not lost meanwhile.
#[tokio::test]
async fn what_came_of_requests_is_written_when_it_can_be() {
    let home = tempfile::tempdir().unwrap();
    let ledger = signing_often(home.path()).await;
    let refuse = async || refuse(&ledger).await;
    let mut holder = holder(home.path()).await;
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    // A caller that hangs up, and one that waits.
    drop(ledger.begin(([192, 0, 2, 2], 1).into(), None));
    assert_eq!(refuse().await, Rejection::LedgerUnavailable);
    held.rollback().await.unwrap();
    let measures = ledger.measures();
    tokio::time::timeout(Duration::from_secs(20), async {
        while measures.entries.get() == 0 {
            tokio::time::sleep(OFTEN).await;
        }
    })
    .await
    .unwrap();
    let mut reader = Reader::open(home.path()).await.unwrap();
    let written = reader.from(0, 9).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].whole()["reason"], ABANDONED);
}

/// While it is stuck nobody may be sent to it who would make it try.
#[tokio::test]
async fn a_ledger_that_was_stuck_finds_out_by_itself_that_it_is_not() {
    let home = tempfile::tempdir().unwrap();
    let ledger = signing_often(home.path()).await;
    let refuse = async || refuse(&ledger).await;
    assert_eq!(refuse().await, Rejection::NoToken);
    assert!(ledger.measures().is_writable());
    let mut holder = holder(home.path()).await;
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(refuse().await, Rejection::LedgerUnavailable);
    let measures = ledger.measures();
    assert!(!measures.is_writable() && measures.lost.get() == 1 && measures.failures.get() == 1);
    held.rollback().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !measures.is_writable() {
            tokio::time::sleep(OFTEN).await;
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
    let mut holder = holder(home.path()).await;
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await;
    assert_eq!(refused, Rejection::LedgerUnavailable);
    held.rollback().await.unwrap();
    let refused = ledger.begin(([192, 0, 2, 1], 1).into(), None).refused(Rejection::NoToken).await;
    assert_eq!(refused, Rejection::NoToken);
}
