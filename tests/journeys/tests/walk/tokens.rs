//! With every token that does not do, and with none.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use concierge_proto::{CallerKind, Method};
use concierge_runtime::auth::{Audience, Claims};
use tonic::Code;

use crate::{Walk, caller, check, reason};

const KINDS: [CallerKind; 4] = [CallerKind::Agent, CallerKind::User, CallerKind::ApiClient, CallerKind::Service];

/// What is wrong, the token, and what it is refused with.
type Case = (&'static str, Option<String>, Code, &'static str);

fn cases(walk: &Walk, method: &Method, home: &str) -> Vec<Case> {
    let claims = walk.suite.claims(home, &caller(method));
    let sign = |spoil: &dyn Fn(&mut Claims)| {
        let mut claims = claims.clone();
        spoil(&mut claims);
        walk.suite.signer.sign(&claims)
    };
    let unsigned = {
        let good = sign(&|_| {});
        let body = good.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
    };
    let expired = sign(&|claims| {
        let hour = TimeDelta::hours(1);
        claims.iat -= hour.num_milliseconds();
        claims.exp -= hour.num_seconds();
    });
    let elsewhere = sign(&|claims| claims.aud = Audience(vec!["elsewhere".to_owned()]));
    let poor = sign(&|claims| claims.scope.0 = vec!["nothing.at_all".to_owned()]);
    let mut cases = vec![
        ("no token", None, Code::Unauthenticated, "TOKEN_MISSING"),
        ("an expired token", Some(expired), Code::Unauthenticated, "TOKEN_EXPIRED"),
        ("a token for another audience", Some(elsewhere), Code::Unauthenticated, "TOKEN_WRONG_AUDIENCE"),
        ("an unsigned token", Some(unsigned), Code::Unauthenticated, "TOKEN_INVALID"),
        ("a token without the permission", Some(poor), Code::PermissionDenied, "PERMISSION_MISSING"),
    ];
    for kind in KINDS.into_iter().filter(|kind| !method.kinds.contains(kind)) {
        let token = sign(&|claims| {
            claims.kind = kind;
            if kind == CallerKind::Service {
                claims.sub = "ticket-rule".to_owned();
            }
        });
        cases.push(("a token of the wrong kind", Some(token), Code::PermissionDenied, "CALLER_KIND_REFUSED"));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_that_does_not_do_opens_anything() {
    let walk = Walk::start().await;
    let walked = AtomicUsize::new(0);
    walk.each(async |method, home| {
        if method.public {
            return;
        }
        for (case, token, code, expected) in cases(&walk, method, home) {
            let what = format!("{} of {home} with {case}", method.path);
            let status = walk.call(home, method.path, token.as_deref(), Vec::new()).await.unwrap_err();
            check(&what, &status);
            assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}: {status:?}");
            walked.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let walked = walked.into_inner();
    assert!(walked > 800, "{walked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_does_not_exist_says_so() {
    let walk = Walk::start().await;
    for home in ["directory", "ticket-rule", "notification"] {
        let status = walk.call(home, "/concierge.directory.v1.NoService/None", None, Vec::new()).await.unwrap_err();
        check(home, &status);
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    }
}
