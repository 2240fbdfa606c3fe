//! Pages that fit a message: they end by what their records weigh, too, with a token to go on from.

use concierge_proto::ListRequest;
use concierge_proto::notification::{
    ListDeliveriesRequest, ListInboxItemsRequest, ListNotificationDefinitionsRequest, ListPopupNotesRequest,
};
use concierge_runtime::resource::Only;
use concierge_runtime::{Error, Resource, Service};
use prost::Message as _;

/// What the records of a page weigh at most, in bytes, unless the first alone weighs more: clients take 4 MiB.
const BYTES: usize = 3 << 20;
/// So many records are read at first: most pages are no longer.
const FIRST: usize = 50;
/// So many are read at a time at most.
const MOST: usize = 200;
/// A page of more records is cut to this.
const LONGEST: usize = 1_000;

/// A request for a page that can be asked again for another part of it.
pub(crate) trait Paged: ListRequest + Clone {
    /// The same list, from there on, so many records.
    fn part(&self, page_token: String, page_size: usize) -> Self;
}

macro_rules! paged {
    ($($request:ty),+ $(,)?) => {
        $(impl Paged for $request {
            fn part(&self, page_token: String, page_size: usize) -> Self {
                Self { page_token, page_size: i32::try_from(page_size).unwrap_or(i32::MAX), ..self.clone() }
            }
        })+
    };
}
paged!(ListDeliveriesRequest, ListInboxItemsRequest, ListNotificationDefinitionsRequest, ListPopupNotesRequest);

/// A page of the records that a request asks for, of those that `only` leaves. One round trip for each part that is read:
/// of a page of at most fifty records one, and one more if it is cut.
pub(crate) async fn page<S, Q>(service: &Service, request: &Q, only: Only) -> Result<(Vec<S::Record>, String), Error>
where
    S: Resource,
    Q: Paged<Record = S::Record>,
{
    let wanted = match usize::try_from(request.page_size()) {
        Ok(0) => FIRST,
        Ok(size) => size.min(LONGEST),
        // Refused below.
        Err(_) => return service.page::<S, Q>(request, only).await,
    };
    let mut records: Vec<S::Record> = Vec::new();
    let mut token = request.page_token().to_owned();
    let (mut left, mut size) = (BYTES, wanted.min(FIRST));
    loop {
        let part = request.part(token.clone(), size);
        let (mut read, mut next) = service.page::<S, Q>(&part, only.clone()).await?;
        let mut fits = fitting(&read, left);
        if fits == 0 && records.is_empty() {
            fits = 1;
        }
        if fits < read.len() {
            if fits == 0 {
                return Ok((records, token));
            }
            // Read again up to where it is cut, for the token.
            (read, next) = service.page::<S, Q>(&request.part(token, fits), only.clone()).await?;
            records.append(&mut read);
            return Ok((records, next));
        }
        left = left.saturating_sub(read.iter().map(S::Record::encoded_len).sum());
        records.append(&mut read);
        if next.is_empty() || records.len() >= wanted || left == 0 {
            return Ok((records, next));
        }
        token = next;
        // As many as fit if they weigh twice what those before did.
        let weight = (BYTES - left) / records.len();
        size = (wanted - records.len()).min(left / (2 * weight.max(1))).clamp(1, MOST);
    }
}

/// How many of the first records fit.
fn fitting<R: prost::Message>(records: &[R], bytes: usize) -> usize {
    let mut weight = 0;
    records
        .iter()
        .take_while(|record| {
            weight += record.encoded_len();
            weight <= bytes
        })
        .count()
}
