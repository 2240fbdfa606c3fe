//! The custom fields of directory's records, as part of the configuration: what was evaluated is explained with those
//! that there were then.

use concierge_proto::Record as _;
use concierge_proto::directory::CustomField;
use concierge_proto::event::{Event, RecordChanged};
use concierge_runtime::feed::consumer::Effects;
use concierge_runtime::feed::payload;
use concierge_runtime::{Error, Tx};
use futures::future::BoxFuture;
use prost::Message as _;

use crate::evaluation::revise_all;

/// Makes every custom field that was heard of a part of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct KeepCustomFields;

impl Effects for KeepCustomFields {
    fn apply<'a>(&'a self, tx: &'a mut Tx, event: &'a Event) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match payload::<RecordChanged>(event) {
                Some(change) if change.record_type == CustomField::TYPE => keep(tx).await,
                _ => Ok(()),
            }
        })
    }

    fn restored<'a>(&'a self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(keep(tx))
    }
}

/// Makes a new revision if a custom field as last heard of is not as the configuration has it. One round trip when all
/// are, four otherwise. The lock of the configuration is held until the end of the transaction, which is near: a snapshot
/// comes here when it is done.
async fn keep(tx: &mut Tx) -> Result<(), Error> {
    if changed(tx).await?.is_empty() {
        return Ok(());
    }
    sqlx::query("select pg_advisory_xact_lock(configuration_lock())").execute(tx.conn().await?).await?;
    let changed = changed(tx).await?;
    revise_all(tx, &changed, true).await
}

async fn changed(tx: &mut Tx) -> Result<Vec<CustomField>, Error> {
    let records: Vec<Vec<u8>> = sqlx::query_scalar(
        "select heard.record from projections heard
         left join configuration_versions kept on kept.record_type = heard.record_type
             and kept.record_id = heard.record_id and kept.until is null
         where heard.record_type = 'custom_field' and heard.record is distinct from kept.record
         order by heard.record_id",
    )
    .fetch_all(tx.conn().await?)
    .await?;
    records.iter().map(|record| CustomField::decode(record.as_slice()).map_err(Error::internal)).collect()
}
