//! `RequesterService`: what decisions about a ticket are made from, in one read.

mod store;

use concierge_model::requester::Known;
use concierge_proto::Violations;
use concierge_proto::directory::requester_service_server::RequesterService;
use concierge_proto::directory::{
    BatchGetRequesterFactsRequest, BatchGetRequesterFactsResponse, GetRequesterFactsRequest, GetRequesterFactsResponse,
};
use concierge_proto::record::timestamp;
use concierge_runtime::{Answer, Error};
use tonic::{Request, Response};

use crate::Directory;

#[tonic::async_trait]
impl RequesterService for Directory {
    /// One round trip.
    async fn get_requester_facts(
        &self,
        request: Request<GetRequesterFactsRequest>,
    ) -> Answer<GetRequesterFactsResponse> {
        let requests = [request.into_inner()];
        check(&requests, |_| String::new())?;
        let known = self.known(&requests).await?;
        let result = known.result(&requests[0], Some(timestamp(self.service.clock().now())));
        if let Some(unknown) = result.not_found.into_iter().next() {
            let record_type = match unknown.field.as_str() {
                "user_id" => "user",
                "site_id" => "site",
                _ => "customer",
            };
            return Err(Error::NotFound { record_type, id: unknown.id }.into());
        }
        Ok(Response::new(GetRequesterFactsResponse { facts: result.facts }))
    }

    /// One round trip, however many.
    async fn batch_get_requester_facts(
        &self,
        request: Request<BatchGetRequesterFactsRequest>,
    ) -> Answer<BatchGetRequesterFactsResponse> {
        let requests = request.into_inner().requests;
        check(&requests, |index| format!("requests[{index}]."))?;
        let known = self.known(&requests).await?;
        let now = Some(timestamp(self.service.clock().now()));
        let results = requests.iter().map(|request| known.result(request, now)).collect();
        Ok(Response::new(BatchGetRequesterFactsResponse { results }))
    }
}

impl Directory {
    pub(crate) async fn known(&self, requests: &[GetRequesterFactsRequest]) -> Result<Known, Error> {
        if let Some(call) = concierge_runtime::Call::current() {
            call.remaining()?;
        }
        store::known(self.service.pool(), requests).await
    }
}

/// Every entry asks for something.
fn check(requests: &[GetRequesterFactsRequest], prefix: impl Fn(usize) -> String) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (index, request) in requests.iter().enumerate() {
        if request.user_id.is_empty() && request.site_id.is_empty() && request.customer_id.is_empty() {
            violations.add(
                format!("{}user_id", prefix(index)),
                "must be given, or site_id, or customer_id: at least one of the three",
            );
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}
