//! Waiting: for a service that is away or busy, and for one that is behind.

use std::time::Duration;

use tonic::{Code, Status};

/// How often a call is made at most.
const ATTEMPTS: u32 = 10;
/// How long to wait before the second attempt; twice as long before each one after it.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// Makes a call again while it is refused for a reason that passes. It must be the same each time, its `request_id`
/// included: an answer that was lost is given again.
pub(crate) async fn patiently<A, F>(mut call: impl FnMut() -> F) -> Result<A, Status>
where
    F: Future<Output = Result<A, Status>>,
{
    let mut wait = FIRST;
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(status) if passes(status.code()) => tokio::time::sleep(wait).await,
            done => return done,
        }
        wait = (wait * 2).min(LONGEST);
    }
    call().await
}

fn passes(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded)
}

/// How something that is looked at is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calm {
    /// Between two looks.
    pub(crate) pause: Duration,
    /// So many looks in a row must see the same.
    pub(crate) looks: u32,
    /// So many looks at most.
    pub(crate) most: u32,
}

/// Waits until what is looked at stays the same; false when it never did.
pub(crate) async fn until_calm<T, F>(calm: Calm, mut look: impl FnMut() -> F) -> anyhow::Result<bool>
where
    T: PartialEq,
    F: Future<Output = anyhow::Result<T>>,
{
    let mut last = look().await?;
    let mut same = 1;
    for _ in 1..calm.most {
        tokio::time::sleep(calm.pause).await;
        let now = look().await?;
        same = if now == last { same + 1 } else { 1 };
        if same >= calm.looks {
            return Ok(true);
        }
        last = now;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_refusal_that_passes_is_waited_for_and_another_is_told_at_once() {
        runtime().block_on(async {
            let calls = Cell::new(0);
            let answer = patiently(|| {
                calls.set(calls.get() + 1);
                let code = if calls.get() == 1 { Code::Unavailable } else { Code::ResourceExhausted };
                let done = calls.get() == 3;
                async move { if done { Ok("logged") } else { Err(Status::new(code, "later")) } }
            });
            assert_eq!((answer.await.unwrap(), calls.get()), ("logged", 3));
            let calls = Cell::new(0);
            let answer: Result<(), Status> = patiently(|| {
                calls.set(calls.get() + 1);
                async { Err(Status::invalid_argument("no")) }
            })
            .await;
            assert_eq!((answer.unwrap_err().code(), calls.get()), (Code::InvalidArgument, 1));
        });
    }

    #[test]
    fn what_still_grows_is_waited_for_and_not_for_ever() {
        let calm = Calm { pause: Duration::from_millis(1), looks: 3, most: 10 };
        runtime().block_on(async {
            let looks = Cell::new(0);
            let growing = |until: u32| {
                let looks = &looks;
                looks.set(0);
                move || {
                    looks.set(looks.get() + 1);
                    let seen = looks.get().min(until);
                    async move { Ok(seen) }
                }
            };
            assert!(until_calm(calm, growing(4)).await.unwrap());
            assert_eq!(looks.get(), 6);
            assert!(!until_calm(calm, growing(100)).await.unwrap());
            assert_eq!(looks.get(), 10);
        });
    }
}
