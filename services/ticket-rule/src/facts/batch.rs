//! Questions to directory, asked together: calls that wait while others are being answered share one request.

use std::sync::{Arc, Mutex, PoisonError};

use concierge_proto::directory::requester_service_client::RequesterServiceClient;
use concierge_proto::directory::{BatchGetRequesterFactsRequest, GetRequesterFactsRequest, RequesterFactsResult};
use concierge_runtime::Call;
use concierge_runtime::upstream::Upstream;
use tokio::sync::oneshot;

use super::PATIENCE;

/// So many questions go into one request: what directory takes.
const BATCH: usize = 500;
/// So many requests are on their way at a time.
const LANES: usize = 4;

/// A call joins only a batch that is not yet sent, so it never hears of a state older than its own beginning.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    directory: Upstream,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiter>,
    running: usize,
}

#[derive(Debug)]
struct Waiter {
    question: GetRequesterFactsRequest,
    call: Option<Arc<Call>>,
    answer: oneshot::Sender<RequesterFactsResult>,
}

impl Batches {
    pub(super) fn new(directory: Upstream) -> Self {
        Self { directory, state: Arc::default() }
    }

    /// The answer to one question, or `None` when there is none within the patience with directory.
    pub(super) async fn get(&self, question: GetRequesterFactsRequest) -> Option<RequesterFactsResult> {
        let (answer, receiver) = oneshot::channel();
        let start = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.waiting.push(Waiter { question, call: Call::current(), answer });
            let start = state.running < LANES;
            state.running += usize::from(start);
            start
        };
        if start {
            // A task of its own: the call that starts a lane may go away, those who wait with it must not suffer.
            tokio::spawn(self.clone().run());
        }
        tokio::time::timeout(self.directory.patience(PATIENCE), receiver).await.ok()?.ok()
    }

    /// One lane: batch after batch until nobody waits.
    async fn run(self) {
        loop {
            let batch = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                // Those whose budget is used up need no answer.
                state.waiting.retain(|waiter| !waiter.answer.is_closed());
                let size = state.waiting.len().min(BATCH);
                let batch: Vec<Waiter> = state.waiting.drain(..size).collect();
                if batch.is_empty() {
                    state.running -= 1;
                    return;
                }
                batch
            };
            self.send(batch).await;
        }
    }

    async fn send(&self, batch: Vec<Waiter>) {
        let patience = self.directory.patience(PATIENCE);
        let questions: Vec<GetRequesterFactsRequest> = batch.iter().map(|w| w.question.clone()).collect();
        let asked = questions.len();
        // Asked for one call, it is that call's; asked for several, it belongs to the trace of the first.
        let call = match batch.as_slice() {
            [only] => only.call.clone(),
            several => several.iter().find_map(|w| w.call.as_ref()).map(|first| {
                let internal = Call::internal(first.request_id.clone(), patience);
                Arc::new(Call { traceparent: first.traceparent.clone(), ..internal })
            }),
        };
        let question = async {
            let request =
                self.directory.request_within(BatchGetRequesterFactsRequest { requests: questions }, patience);
            let mut client = RequesterServiceClient::new(self.directory.channel());
            tokio::time::timeout(patience, client.batch_get_requester_facts(request)).await
        };
        let answered = match call {
            Some(call) => call.scope(question).await,
            None => question.await,
        };
        match answered {
            Ok(Ok(answer)) => {
                let results = answer.into_inner().results;
                if results.len() != asked {
                    tracing::error!(asked, answered = results.len(), "directory left questions unanswered");
                    return;
                }
                for (waiter, result) in batch.into_iter().zip(results) {
                    let _ = waiter.answer.send(result);
                }
            }
            // Nobody is told: a dropped sender is an answer, too.
            Ok(Err(status)) => {
                tracing::warn!(code = ?status.code(), message = status.message(), "no facts from directory")
            }
            Err(_) => tracing::warn!("no facts from directory in time"),
        }
    }
}
