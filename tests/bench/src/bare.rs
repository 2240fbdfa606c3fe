//! The peers: what tonic and sqlx do without us.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use concierge_directory::customer::Customers;
use concierge_proto::directory::{Customer, GetCustomerRequest, GetCustomerResponse};
use concierge_runtime::Resource as _;
use concierge_runtime::resource::decode;
use http::{Request, Response};
use sqlx::PgPool;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Status, codegen::BoxFuture};
use tonic_prost::ProstCodec;
use tower::Service;
use uuid::Uuid;

/// A handler with nothing around it: an echo, or one prepared SELECT.
#[derive(Clone, Debug)]
pub struct Bare {
    /// Reads the customer from here; `None` echoes the id.
    pub pool: Option<PgPool>,
}

impl NamedService for Bare {
    const NAME: &'static str = "concierge.directory.v1.CustomerService";
}

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(handler, request).await) })
    }
}

impl UnaryService<GetCustomerRequest> for Bare {
    type Response = GetCustomerResponse;
    type Future = BoxFuture<tonic::Response<Self::Response>, Status>;

    fn call(&mut self, request: tonic::Request<GetCustomerRequest>) -> Self::Future {
        let pool = self.pool.clone();
        Box::pin(async move {
            let id = request.into_inner().id;
            let customer = match pool {
                None => Customer { id, ..Default::default() },
                Some(pool) => select(&pool, &id).await.map_err(|e| Status::internal(e.to_string()))?,
            };
            Ok(tonic::Response::new(GetCustomerResponse { customer: Some(customer) }))
        })
    }
}

async fn select(pool: &PgPool, id: &str) -> anyhow::Result<Customer> {
    use std::sync::LazyLock;
    static SQL: LazyLock<String> = LazyLock::new(|| {
        use concierge_proto::Fields as _;
        let columns: Vec<String> = Customer::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
        format!("select {}, version from {} where id = $1", columns.join(", "), Customers::TABLE)
    });
    let id: Uuid = id.parse()?;
    let row = sqlx::query(sqlx::AssertSqlSafe(SQL.as_str())).bind(id).fetch_one(pool).await?;
    Ok(decode(&row)?)
}
