//! The background tasks of a process. One that ends before it was told to leaves the service without its feed, its
//! deliveries or its revocations while everything looks well: the process then ends, and whoever started it starts it
//! again.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::layers::panic_text;

/// Tasks that run until the process is told to stop.
#[derive(Debug, Default)]
pub(super) struct Tasks(JoinSet<()>);

impl Tasks {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Begins the task once it is told to; never if `stop` comes first.
    pub(super) fn spawn_when(
        &mut self,
        mut begin: watch::Receiver<bool>,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(async move {
            let begun = tokio::select! {
                () = stop.cancelled() => false,
                begun = begin.wait_for(|begin| *begin) => begun.is_ok(),
            };
            if begun {
                task.await;
            }
        });
    }

    /// Waits for a task that ends or panics before `stop`. Those that end after it are as they should be.
    pub(super) async fn failed(&mut self, stop: &CancellationToken) -> anyhow::Error {
        while let Some(ended) = self.0.join_next().await {
            if stop.is_cancelled() && ended.is_ok() {
                continue;
            }
            let why = describe(ended);
            tracing::error!(why, "a background task ended: the process stops, to be started again");
            metrics::counter!("concierge_task_failures_total").increment(1);
            return anyhow::anyhow!("a background task ended: {why}");
        }
        std::future::pending().await
    }

    /// Waits for the tasks, which were told to stop, until a time; then they are cut off.
    pub(super) async fn join(mut self, until: Instant) {
        let all = async {
            while let Some(ended) = self.0.join_next().await {
                if ended.is_err() {
                    tracing::error!(why = describe(ended), "a background task broke while the process stopped");
                }
            }
        };
        if tokio::time::timeout_at(until, all).await.is_err() {
            tracing::warn!(tasks = self.0.len(), "the grace is over: cutting off background tasks");
            self.0.shutdown().await;
        }
    }
}

fn describe(ended: Result<(), JoinError>) -> String {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(()) => "it returned".to_owned(),
        Err(Ok(panic)) => panic_text(&*panic),
        Err(Err(cancelled)) => cancelled.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_before_the_stop_is_a_failure() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::default();
        tasks.spawn(std::future::pending());
        tasks.spawn(async {});
        assert!(tasks.failed(&stop).await.to_string().contains("it returned"));
        tasks.spawn(async { panic!("out of luck") });
        assert!(tasks.failed(&stop).await.to_string().contains("panic: out of luck"));
    }

    #[tokio::test]
    async fn tasks_that_end_when_told_are_waited_for_and_no_longer_than_they_take() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::default();
        let (told, done) = (stop.clone(), CancellationToken::new());
        let finished = done.clone();
        tasks.spawn(async move {
            told.cancelled().await;
            tokio::time::sleep(Duration::from_millis(400)).await;
            finished.cancel();
        });
        stop.cancel();
        assert!(tokio::time::timeout(Duration::from_millis(600), tasks.failed(&stop)).await.is_err());
        let began = Instant::now();
        tasks.join(began + Duration::from_secs(60)).await;
        assert!(done.is_cancelled() && began.elapsed() < Duration::from_secs(30));

        let mut hangs = Tasks::default();
        hangs.spawn(std::future::pending());
        hangs.join(Instant::now() + Duration::from_millis(50)).await;
    }
}
