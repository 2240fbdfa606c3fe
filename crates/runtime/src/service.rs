//! What a service's handlers stand on: transactions with idempotency, and the six standard requests.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use concierge_proto::{
    CreateRequest, DeleteRequest, GetRequest, ListRequest, Mutation, PermissionSet, Record, Redact, UndeleteRequest,
    UpdateRequest,
};
use futures::future::BoxFuture;
use prost::Message;
use sqlx::PgPool;
use tokio::sync::{Notify, OnceCell};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::answers;
use crate::call::Call;
use crate::clock::SharedClock;
use crate::error::Error;
use crate::query::PageTokens;
use crate::resource::{Loader, Only, Resource, list};
use crate::tx::Tx;

/// What a handler returns.
pub type Answer<A> = Result<Response<A>, Status>;

/// A service's database, clock and name, shared by all its handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    pool: PgPool,
    background: PgPool,
    clock: SharedClock,
    /// Wakes the sequencer after a commit that wrote events.
    events: Arc<Notify>,
    loaders: RwLock<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
    shared: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    page_tokens: OnceCell<PageTokens>,
}

impl Service {
    /// The service of that name over its database: the connections of its requests and of effects, and a few for its own
    /// short statements (see [`BACKGROUND`](crate::db::BACKGROUND)).
    pub fn new(name: &'static str, pool: PgPool, background: PgPool, clock: SharedClock) -> Self {
        let inner = Inner {
            name,
            pool,
            background,
            clock,
            events: Arc::default(),
            loaders: RwLock::default(),
            shared: RwLock::default(),
            page_tokens: OnceCell::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its name, such as `directory`.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// Its database.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    /// Its database, for short statements that must not wait behind requests.
    pub fn background(&self) -> &PgPool {
        &self.inner.background
    }

    /// Its clock.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// Notified after every commit that wrote events.
    pub fn events(&self) -> &Arc<Notify> {
        &self.inner.events
    }

    /// What the parts of one process share beside the database, such as who waits to be woken: made at first use, one
    /// of each type.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let key = TypeId::of::<T>();
        if let Some(known) = self.inner.shared.read().unwrap_or_else(PoisonError::into_inner).get(&key)
            && let Ok(known) = Arc::clone(known).downcast()
        {
            return known;
        }
        let mut shared = self.inner.shared.write().unwrap_or_else(PoisonError::into_inner);
        let kept = shared.entry(key).or_insert_with(|| Arc::new(T::default()));
        // What is kept under the id of a type is of that type.
        Arc::clone(kept).downcast().unwrap_or_default()
    }

    /// Opens a transaction for the call that this task serves, or for the service's own work.
    pub async fn begin(&self) -> Result<Tx, Error> {
        let call = Call::current()
            .unwrap_or_else(|| Arc::new(Call::internal(self.clock().new_id().to_string(), Duration::from_secs(60))));
        Tx::begin(self.pool(), call, Arc::clone(self.clock()), self.name()).await
    }

    /// Opens a transaction for the service's own work that takes its time, such as taking a snapshot.
    pub async fn begin_within(&self, time: Duration) -> Result<Tx, Error> {
        let call = Arc::new(Call::internal(self.clock().new_id().to_string(), time));
        Tx::begin(self.pool(), call, Arc::clone(self.clock()), self.name()).await
    }

    /// Commits, and wakes the sequencer when events were written.
    pub async fn commit(&self, tx: Tx) -> Result<(), Error> {
        if tx.commit_inner().await? {
            self.inner.events.notify_one();
        }
        Ok(())
    }

    /// Serves a request that changes something: in one transaction, once per `request_id`.
    ///
    /// Round trips beside those of `work`: begin, take the `request_id`, keep the answer, commit.
    pub async fn write<Q, A, F>(&self, request: Request<Q>, work: F) -> Answer<A>
    where
        Q: Mutation,
        A: Message + Default + Clone + Redact,
        F: for<'a> FnOnce(&'a mut Tx, Q) -> BoxFuture<'a, Result<A, Error>> + Send,
    {
        let request = request.into_inner();
        let mut tx = self.begin().await?;
        if let Err(refused) = tx.call.unbroken() {
            // Only to find what else is wrong.
            let found = work(&mut tx, request).await;
            let _ = tx.rollback().await;
            return Err(found.err().unwrap_or(refused).into());
        }
        let key = answers::Key::of(&tx, &request)?;
        request.request_id().clone_into(&mut tx.request_id);
        if let Some(first) = key.take::<A>(&mut tx).await? {
            tx.rollback().await?;
            return Ok(reply(first));
        }
        match work(&mut tx, request).await {
            Ok(answer) => {
                key.keep(&mut tx, &answer).await?;
                self.commit(tx).await?;
                Ok(reply(answer))
            }
            Err(error) => {
                // The failure is the answer; a rollback that fails too is the pool's business.
                let _ = tx.rollback().await;
                Err(error.into())
            }
        }
    }

    /// `Create…`: checks, stores, tells.
    pub async fn create<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: CreateRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.write(request, |tx, request| {
            Box::pin(async move { Ok(tx.insert::<S>(request.into_record()).await?.into()) })
        })
        .await
    }

    /// `Get…`: one round trip, shared with concurrent callers.
    pub async fn get<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: GetRequest<Record = S::Record>,
        Q::Response: Redact,
    {
        Ok(reply(self.read::<S>(request.get_ref().id()).await?.into()))
    }

    /// One record, if the caller may know that it exists. [`reply`] takes out what it may not read of it.
    pub async fn read<S: Resource>(&self, id: &str) -> Result<S::Record, Error> {
        let absent = || Error::NotFound { record_type: S::Record::TYPE, id: id.to_owned() };
        let call = Call::current().unwrap_or_else(|| Arc::new(Call::internal("", Duration::from_secs(60))));
        let key: Uuid = id.parse().map_err(|_| absent())?;
        let record = self.loader::<S>().get(key).await?.ok_or_else(absent)?;
        if crate::resource::in_scope::<S>(&call, &record) { Ok(record) } else { Err(absent()) }
    }

    /// `Update…`: locks, compares, stores, tells.
    pub async fn update<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: UpdateRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.write(request, |tx, request| {
            Box::pin(async move {
                let (record, paths) = request.into_parts();
                Ok(tx.update::<S>(&record, &paths).await?.into())
            })
        })
        .await
    }

    /// `Delete…`: softly, unless live records need it.
    pub async fn delete<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: DeleteRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.write(request, |tx, request| {
            Box::pin(async move { Ok(tx.delete::<S>(request.id(), request.etag()).await?.into()) })
        })
        .await
    }

    /// `Undelete…`.
    pub async fn undelete<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: UndeleteRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.write(request, |tx, request| Box::pin(async move { Ok(tx.undelete::<S>(request.id()).await?.into()) }))
            .await
    }

    /// `List…`: one page, one round trip.
    pub async fn list<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Resource,
        Q: ListRequest<Record = S::Record>,
        Q::Response: Redact,
    {
        let (records, next) = self.page::<S, Q>(request.get_ref(), Only::everything()).await?;
        Ok(reply((records, next).into()))
    }

    /// A page of the records that a list request asks for, of those that `only` leaves.
    pub async fn page<S, Q>(&self, request: &Q, only: Only) -> Result<(Vec<S::Record>, String), Error>
    where
        S: Resource,
        Q: ListRequest<Record = S::Record>,
    {
        list::page::<S, Q>(self, request, only).await
    }

    /// The tokens of pages, under the key that all replicas share.
    pub async fn page_tokens(&self) -> Result<&PageTokens, Error> {
        self.inner
            .page_tokens
            .get_or_try_init(|| async {
                let key: Vec<u8> = sqlx::query_scalar("select page_token_key from feed").fetch_one(self.pool()).await?;
                let key =
                    <[u8; 32]>::try_from(key).map_err(|_| Error::internal("the key of page tokens has no 32 bytes"))?;
                Ok(PageTokens::new(key))
            })
            .await
    }

    /// The loader of a resource, one for all callers.
    fn loader<S: Resource>(&self) -> Loader<S> {
        let key = TypeId::of::<S>();
        let known = |loaders: &HashMap<TypeId, Box<dyn Any + Send + Sync>>| {
            loaders.get(&key).and_then(|l| l.downcast_ref::<Loader<S>>()).cloned()
        };
        if let Some(loader) = known(&self.inner.loaders.read().unwrap_or_else(PoisonError::into_inner)) {
            return loader;
        }
        let loader = Loader::<S>::new(self.pool().clone(), 2);
        let mut loaders = self.inner.loaders.write().unwrap_or_else(PoisonError::into_inner);
        loaders.entry(key).or_insert_with(|| Box::new(loader.clone()));
        known(&loaders).unwrap_or(loader)
    }
}

/// An answer, without what the caller may not read.
pub fn reply<A: Redact>(mut answer: A) -> Response<A> {
    let permissions = Call::current().map_or_else(PermissionSet::default, |call| call.permissions());
    answer.conceal(permissions);
    Response::new(answer)
}
