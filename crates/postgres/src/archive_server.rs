//! A small HTTP server for tests that serves one archive, its checksum, and a redirection to it.

use super::Archive;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Served {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Served {
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive { url: format!("{}postgresql-test.tar.gz", self.base()), sha256: None }
    }

    /// How often anything was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Serves an archive, with its own checksum or a wrong one, until the test's process ends.
pub(crate) fn start(archive: Vec<u8>, wrong: Option<String>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let sum = wrong.unwrap_or_else(|| Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), &archive, &sum);
        }
    });
    Served { port, asked }
}

fn answer(mut stream: TcpStream, archive: &[u8], sum: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let (status, headers, body) = match request.split(' ').nth(1).unwrap() {
        // Releases are often served from elsewhere.
        "/postgresql-test.tar.gz" => ("302 Found", "Location: /elsewhere\r\n", Vec::new()),
        "/elsewhere" => ("200 OK", "", archive.to_vec()),
        "/postgresql-test.tar.gz.sha256" => ("200 OK", "", format!("{sum}  postgresql-test.tar.gz\n").into_bytes()),
        _ => ("404 Not Found", "", b"no such file".to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
    // The other side may hang up in the middle.
    let _ = stream.write_all(&body);
}

/// An archive of the server that this machine has: programs, libraries and shared files, placed to each other as they
/// are here, because that is how the programs find the rest.
pub(crate) fn archive_of(programs: &Path, major: u32) -> Vec<u8> {
    let near = |places: &[&str], file: &str| {
        let mut found = places.iter().map(|place| programs.join(place)).filter(|place| place.join(file).is_file());
        found.next().unwrap_or_else(|| panic!("no {file} near {}", programs.display())).canonicalize().unwrap()
    };
    let library = format!("dict_snowball.{}", if cfg!(target_os = "macos") { "dylib" } else { "so" });
    let libraries = near(&["../lib", "../lib/postgresql", "../lib64/pgsql", "../lib/pgsql"], &library);
    let versioned = format!("../../../../share/postgresql/{major}");
    let shared = near(&["../share", "../share/postgresql", "../share/pgsql", &versioned], "postgres.bki");

    // Not compressed: that takes seconds in a debug build.
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none()));
    let place = |path: &Path| Path::new("postgresql-test").join(path.strip_prefix("/").unwrap());
    for name in ["postgres", "initdb"] {
        let path = programs.join(name);
        tar.append_path_with_name(&path, place(&path)).unwrap();
    }
    for entry in libraries.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            tar.append_path_with_name(&path, place(&path)).unwrap();
        }
    }
    tar.append_dir_all(place(&shared), &shared).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
