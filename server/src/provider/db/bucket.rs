//! A bucket of an S3-compatible store: what the folder `blobs/` is on one machine.
//!
//! Names are random and never written twice, so nothing here needs a conditional write, which some
//! stores ignore. Blocking calls may come from blocking tasks alone; what is removed is removed by
//! tasks, and what such a task leaves behind is collected later.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use letterlock_core::id::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStore as _, RetryConfig};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::BlobId;
use super::error::{DbError, TxError};

/// Objects that are fetched at the same time for one answer.
const AT_ONCE: usize = 16;
/// How long one call is tried again before it fails; whoever waits for it is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which bucket, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// The store's URL, `https://s3.example.org`.
    pub endpoint: String,
    /// The store's region; many have one name for all.
    pub region: String,
    /// The bucket, which must be there.
    pub bucket: String,
    /// What objects' names begin with, without a slash at the end.
    pub prefix: String,
    /// The access key's id.
    pub key_id: String,
    /// The access key's secret.
    pub secret: String,
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            bucket,
            prefix,
            ..
        } = self;
        write!(f, "BucketConfig({endpoint}/{bucket}/{prefix})")
    }
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: String,
    /// For errors.
    place: PathBuf,
    runtime: Handle,
    removals: TaskTracker,
}

impl Bucket {
    /// Reads what is needed of the configuration, and asks the store once.
    pub(super) fn open(config: &BucketConfig) -> Result<Self, DbError> {
        let place = format!("S3 bucket {} at {}", config.bucket, config.endpoint);
        let place = PathBuf::from(place);
        let retry = RetryConfig {
            retry_timeout: PATIENCE,
            ..RetryConfig::default()
        };
        let client = ClientOptions::new()
            .with_allow_http(config.endpoint.starts_with("http://"))
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(30));
        let store = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(retry)
            .with_endpoint(&config.endpoint)
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_access_key_id(&config.key_id)
            .with_secret_access_key(&config.secret)
            .build();
        let bucket = Self {
            store: Arc::new(store.map_err(|source| failed(&place, source))?),
            prefix: config.prefix.clone(),
            place,
            runtime: Handle::current(),
            removals: TaskTracker::new(),
        };
        // A wrong key or bucket is told at the start.
        let mut listing = bucket.store.list(Some(&Path::from(bucket.prefix.as_str())));
        let first = bucket.runtime.block_on(listing.next());
        drop(listing);
        match first {
            Some(Err(source)) => Err(failed(&bucket.place, source)),
            Some(Ok(_)) | None => Ok(bucket),
        }
    }

    /// Stores a new object; the store has it when this returns.
    pub(super) fn put(&self, id: &BlobId, octets: Vec<u8>) -> Result<(), DbError> {
        let path = self.path(id);
        let putting = self.store.put(&path, octets.into());
        let put = self.runtime.block_on(putting);
        put.map(|_| ())
            .map_err(|source| failed(&self.place, source))
    }

    /// The octets of objects, in the order asked.
    pub(super) fn get_all(&self, ids: &[BlobId]) -> Result<Vec<Vec<u8>>, TxError> {
        let fetching = ids.iter().map(|id| {
            let (store, path) = (Arc::clone(&self.store), self.path(id));
            async move { store.get(&path).await?.bytes().await }
        });
        let fetched = futures::stream::iter(fetching).buffered(AT_ONCE);
        let fetched = fetched.map_ok(|octets| octets.to_vec()).try_collect();
        self.runtime
            .block_on(fetched)
            .map_err(|source| match source {
                Error::NotFound { path, .. } => TxError::FileGone(self.place.join(path)),
                source => failed(&self.place, source).into(),
            })
    }

    /// Removes an object soon. A failure is only logged: the object is collected later.
    pub(super) fn remove(&self, id: &BlobId) {
        let (store, path) = (Arc::clone(&self.store), self.path(id));
        let removing = async move {
            match store.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "cannot remove an object"),
            }
        };
        self.removals.spawn_on(removing, &self.runtime);
    }

    /// The objects that are older than a moment.
    pub(super) fn older_than(&self, moment: Timestamp) -> Result<Vec<BlobId>, DbError> {
        let listing = self.store.list(Some(&Path::from(self.prefix.as_str())));
        let old = listing.try_filter_map(|object| {
            let is_old = object.last_modified.timestamp_millis() < moment.as_millis();
            let id = object
                .location
                .filename()
                .and_then(super::blobs::parse_name);
            std::future::ready(Ok(id.filter(|_| is_old)))
        });
        let old = self.runtime.block_on(old.try_collect());
        old.map_err(|source| failed(&self.place, source))
    }

    fn path(&self, id: &BlobId) -> Path {
        let name = hex::encode(id);
        if self.prefix.is_empty() {
            return Path::from(name);
        }
        Path::from(format!("{}/{name}", self.prefix))
    }
}

fn failed(place: &std::path::Path, source: Error) -> DbError {
    DbError::Object {
        store: place.to_owned(),
        source: Box::new(source),
    }
}
