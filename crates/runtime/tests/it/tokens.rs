//! A service's own tokens, when they are taken away.

use concierge_proto::event::Revocation;
use concierge_runtime::Service;
use concierge_runtime::auth::{Caller, Revocations};
use concierge_runtime::clock::Clock as _;
use concierge_testkit::{Suite, Who};

use crate::world::{Directory, Teller, until};

async fn revoke(directory: &Service, subject: &str) {
    let mut tx = directory.begin().await.unwrap();
    tx.revoke(Revocation { subject: subject.to_owned(), ..Default::default() }).await.unwrap();
    directory.commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_service_whose_tokens_are_taken_away_signs_new_ones_and_hears_on() {
    let mut suite = Suite::new();
    let directory = suite.start::<Directory>().await.host.service.clone();
    let teller = suite.start::<Teller>().await.host.clone();
    let verifier = |name: &'static str, suite: &Suite| {
        let token = suite.token("ticket-rule", &Who::service(name));
        teller.verifier.verify(&token, suite.clock.now()).unwrap()
    };
    let heard = async |revocations: &Revocations, caller: &Caller| {
        until("the revocation is heard", async || revocations.revoked(caller)).await;
    };
    // It hears; then its own tokens are taken away; and it hears what comes after that.
    let (first, own, last) = (verifier("one", &suite), verifier("ticket-rule", &suite), verifier("two", &suite));
    revoke(&directory, "one").await;
    heard(&teller.revocations, &first).await;
    let before = teller.directory.as_ref().unwrap().request(()).into_parts().0;
    revoke(&directory, "ticket-rule").await;
    heard(&teller.revocations, &own).await;
    until("it signs another one", async || {
        let now = teller.directory.as_ref().unwrap().request(()).into_parts().0;
        now.get("authorization") != before.get("authorization")
    })
    .await;
    revoke(&directory, "two").await;
    heard(&teller.revocations, &last).await;
}
