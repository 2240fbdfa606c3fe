//! A real SMTP server for tests: it speaks the protocol over TCP, with or without TLS, keeps every message it takes, and
//! goes wrong on demand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A message that the server took, or at least got all of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The address in `MAIL FROM`.
    pub from: String,
    /// The addresses in `RCPT TO`.
    pub to: Vec<String>,
    /// Headers and body, dots unstuffed, lines ended by `\n`.
    pub data: String,
    /// The name that the client authenticated with.
    pub user: Option<String>,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Mail {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\n\n").next()?.replace("\n ", " ").replace("\n\t", " ");
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    /// The `Message-ID`.
    pub fn message_id(&self) -> String {
        self.header("Message-ID").unwrap_or_default()
    }
}

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client says who it is from.
    MailFrom,
    /// The client says whom it is to.
    RcptTo,
    /// The client wants to send the message.
    Data,
    /// The client has sent the message.
    Message,
}

/// What goes wrong with one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server answers with this code.
    Reply(Step, u16),
    /// The server does not answer any more. At [`Step::Message`] it keeps the message all the same.
    Silence(Step),
    /// The server closes the connection without an answer. At [`Step::Message`] it keeps the message all the same.
    Close(Step),
}

/// How the server wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    None,
    /// It offers STARTTLS.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct SmtpServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate of its own authority, in PEM; empty without TLS.
    pub root: String,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    mails: Mutex<Vec<Mail>>,
    faults: Mutex<VecDeque<Fault>>,
    account: Mutex<Option<(String, String)>>,
    connections: AtomicUsize,
}

impl SmtpServer {
    /// Starts a server in the clear.
    pub async fn start() -> Self {
        Self::start_with(Security::None).await
    }

    /// Starts a server.
    pub async fn start_with(security: Security) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (root, acceptor) = match security {
            Security::None => (String::new(), None),
            _ => {
                let (root, acceptor) = certificate();
                (root, Some(acceptor))
            }
        };
        let state = Arc::new(State {
            mails: Mutex::default(),
            faults: Mutex::default(),
            account: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                conversations.spawn(converse(stream, security, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, root, state, task: task.abort_handle() }
    }

    /// Makes something go wrong with the next message that nothing goes wrong with yet.
    pub fn fail(&self, fault: Fault) {
        self.state.faults.lock().unwrap().push_back(fault);
    }

    /// From now on clients must authenticate, as this user.
    pub fn require(&self, user: &str, password: &str) {
        *self.state.account.lock().unwrap() = Some((user.to_owned(), password.to_owned()));
    }

    /// The messages so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until everything that was to go wrong has met a message.
    pub async fn struck(&self) {
        for _ in 0..1_000 {
            if self.state.faults.lock().unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing went wrong: no message came");
    }

    /// Waits until there are so many messages, at most ten seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        for _ in 0..1_000 {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} messages were expected, there are {:#?}", self.mails());
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn certificate() -> (String, TlsAcceptor) {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key that fits");
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn converse(stream: TcpStream, security: Security, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    let stream: Box<dyn Stream> = match (security, &acceptor) {
        (Security::Tls, Some(acceptor)) => match acceptor.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
        _ => Box::new(stream),
    };
    let mut conversation = Conversation {
        stream: BufReader::new(stream),
        state,
        tls: security == Security::Tls,
        user: None,
        fault: None,
        from: String::new(),
        to: Vec::new(),
    };
    let starttls = acceptor.filter(|_| security == Security::Starttls);
    // A client that goes away ends the conversation.
    let _ = conversation.run(starttls).await;
}

struct Conversation {
    stream: BufReader<Box<dyn Stream>>,
    state: Arc<State>,
    tls: bool,
    user: Option<String>,
    fault: Option<Fault>,
    from: String,
    to: Vec<String>,
}

/// Why a conversation ends.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Conversation {
    async fn run(&mut self, starttls: Option<TlsAcceptor>) -> Result<(), Over> {
        self.say("220 localhost test server").await?;
        loop {
            let line = self.line().await?;
            let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => {
                    let offered = if starttls.is_some() && !self.tls { "250-STARTTLS\r\n" } else { "" };
                    self.say(&format!("250-localhost\r\n{offered}250-AUTH PLAIN LOGIN\r\n250 8BITMIME")).await?;
                }
                "HELO" | "NOOP" | "RSET" => self.say("250 ok").await?,
                "STARTTLS" => {
                    let Some(acceptor) = starttls.as_ref().filter(|_| !self.tls) else {
                        self.say("454 not now").await?;
                        continue;
                    };
                    self.say("220 go ahead").await?;
                    let plain = std::mem::replace(&mut self.stream, BufReader::new(Box::new(tokio::io::empty())));
                    let secured = acceptor.accept(plain.into_inner()).await?;
                    self.stream = BufReader::new(Box::new(secured));
                    self.tls = true;
                }
                "AUTH" => self.authenticate(&line).await?,
                "MAIL" => self.mail(&line).await?,
                "RCPT" => {
                    if self.well(Step::RcptTo).await? {
                        self.to.push(address(&line));
                        self.say("250 ok").await?;
                    }
                }
                "DATA" => self.data().await?,
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Err(Over);
                }
                _ => self.say("500 what?").await?,
            }
        }
    }

    async fn authenticate(&mut self, line: &str) -> Result<(), Over> {
        let decode =
            |text: &str| STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok()).unwrap_or_default();
        let given = line.split(' ').nth(2).map(decode).unwrap_or_default();
        let mut parts = given.split('\0').skip(1).map(str::to_owned);
        let pair = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let right = self.state.account.lock().unwrap().as_ref().is_none_or(|account| *account == pair);
        if right {
            self.user = Some(pair.0);
            self.say("235 welcome").await
        } else {
            // As bad servers do, it repeats what it was told.
            self.say(&format!("535 no such account: {line}")).await
        }
    }

    async fn mail(&mut self, line: &str) -> Result<(), Over> {
        let must = self.state.account.lock().unwrap().is_some();
        if must && self.user.is_none() {
            return self.say("530 authenticate first").await;
        }
        self.fault = self.state.faults.lock().unwrap().pop_front();
        if self.well(Step::MailFrom).await? {
            self.from = address(line);
            self.to.clear();
            self.say("250 ok").await?;
        }
        Ok(())
    }

    async fn data(&mut self) -> Result<(), Over> {
        if !self.well(Step::Data).await? {
            return Ok(());
        }
        self.say("354 end with a dot").await?;
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
        }
        let refused = matches!(self.fault, Some(Fault::Reply(Step::Message, _)));
        if !refused {
            let mail =
                Mail { from: self.from.clone(), to: self.to.clone(), data, user: self.user.clone(), tls: self.tls };
            self.state.mails.lock().unwrap().push(mail);
        }
        if self.well(Step::Message).await? {
            self.say("250 taken").await?;
        }
        Ok(())
    }

    /// Whether nothing goes wrong at this step; what does is carried out.
    async fn well(&mut self, step: Step) -> Result<bool, Over> {
        match self.fault.clone() {
            Some(Fault::Reply(at, code)) if at == step => {
                self.say(&format!("{code} on demand")).await?;
                Ok(false)
            }
            Some(Fault::Silence(at)) if at == step => std::future::pending().await,
            Some(Fault::Close(at)) if at == step => Err(Over),
            _ => Ok(true),
        }
    }

    async fn say(&mut self, text: &str) -> Result<(), Over> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Over> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(Over);
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn address(line: &str) -> String {
    line.split('<').nth(1).and_then(|rest| rest.split('>').next()).unwrap_or_default().to_owned()
}
