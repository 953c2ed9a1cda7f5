//! Two programs that write to one store.

use super::*;

#[tokio::test]
async fn two_writers_on_one_store_do_not_both_win() {
    let root = RootKey::from_octets([1; 32]);
    let keys = || AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = Arc::new(MemoryStore::new());
    let a = Replica::open(Shared(store.clone()), keys(), [1; 32], NOW)
        .await
        .unwrap();
    let b = Replica::open(Shared(store), keys(), [2; 32], NOW)
        .await
        .unwrap();
    a.create_default_mailboxes(NOW).await.unwrap();
    let error = b.create_default_mailboxes(NOW).await.unwrap_err();
    assert!(matches!(error, ReplicaError::Busy));
    assert_eq!(b.mailboxes().len(), a.mailboxes().len());
}

pub(super) struct Shared(pub(super) Arc<MemoryStore>);

impl Store for Shared {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(table, key).await
    }
    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
    ) -> Result<Vec<(crate::store::Key, Vec<u8>)>, StoreError> {
        self.0.scan(table, range).await
    }
    async fn commit(&self, batch: crate::store::Batch) -> Result<(), StoreError> {
        self.0.commit(batch).await
    }
}
