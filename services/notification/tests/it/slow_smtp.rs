//! An e-mail server that takes a message and answers when it is told to, and notices when connections end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(crate) struct SlowSmtp {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    /// So many messages are answered.
    answers: Semaphore,
    messages: AtomicUsize,
    ended: AtomicUsize,
}

impl SlowSmtp {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state =
            Arc::new(State { answers: Semaphore::new(0), messages: AtomicUsize::new(0), ended: AtomicUsize::new(0) });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = converse(stream, &state).await;
                    state.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, state }
    }

    /// Answers so many messages, those that wait first.
    pub(crate) fn answer(&self, messages: usize) {
        self.state.answers.add_permits(messages);
    }

    /// Waits until it has so many messages.
    pub(crate) async fn has(&self, messages: usize) {
        reaches(&self.state.messages, messages).await;
    }

    /// Waits until so many connections have ended.
    pub(crate) async fn has_lost(&self, connections: usize) {
        reaches(&self.state.ended, connections).await;
    }

    /// How many connections have ended.
    pub(crate) fn lost(&self) -> usize {
        self.state.ended.load(Ordering::SeqCst)
    }
}

async fn reaches(counter: &AtomicUsize, wanted: usize) {
    for _ in 0..1_500 {
        if counter.load(Ordering::SeqCst) >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{wanted} were expected, there are {}", counter.load(Ordering::SeqCst));
}

async fn converse(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 slow\r\n").await?;
    let mut in_message = false;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match line.as_str() {
            "." if in_message => {
                in_message = false;
                state.messages.fetch_add(1, Ordering::SeqCst);
                state.answers.acquire().await.unwrap().forget();
                b"250 taken\r\n"
            }
            _ if in_message => continue,
            "DATA" => {
                in_message = true;
                b"354 go on\r\n"
            }
            "QUIT" => return writing.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        writing.write_all(answer).await?;
    }
    Ok(())
}
