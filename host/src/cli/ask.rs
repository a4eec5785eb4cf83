//! Asks the host that runs with a state, through its local socket.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Buf, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::exit;
use super::run::refused;
use crate::observe::socket;
use crate::state::{other_user, rights};

/// How long a host may take to begin its answer. A restart waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running host.
pub struct RunningHost<'a> {
    runtime: &'a Runtime,
    folder: PathBuf,
}

/// What it answers.
pub struct Answer<'a> {
    pub status: StatusCode,
    body: Body<'a>,
}

/// The body of an answer, to be read as it comes. An error if it breaks off.
struct Body<'a> {
    runtime: &'a Runtime,
    incoming: Incoming,
    rest: Bytes,
}

impl<'a> RunningHost<'a> {
    /// The host with the state in `folder`, if one listens. Otherwise the exit code; why has been said.
    pub fn find(folder: &Path, runtime: &'a Runtime) -> Result<Option<Self>, u8> {
        match runtime.block_on(socket::connect(folder)) {
            Ok(found) => Ok(found.map(|_| Self { runtime, folder: folder.to_path_buf() })),
            Err(error) => Err(refused(exit::NO_PERMISSION, &unusable(folder, &error))),
        }
    }

    /// Makes one request. Otherwise the exit code; why has been said.
    pub fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer<'a>, u8> {
        let asked = self.runtime.block_on(async { timeout(PATIENCE, request(&self.folder, method, path, body)).await });
        match asked {
            Ok(Ok(response)) => {
                let (head, incoming) = response.into_parts();
                let body = Body { runtime: self.runtime, incoming, rest: Bytes::new() };
                Ok(Answer { status: head.status, body })
            }
            Ok(Err(error)) => Err(refused(exit::TEMPORARY, &unusable(&self.folder, &error))),
            Err(_) => {
                let text = format!("the running host has not answered for {} s. Look at its log", PATIENCE.as_secs());
                Err(refused(exit::TEMPORARY, &text))
            }
        }
    }

    /// A good answer's value. Otherwise the exit code; why has been said.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, u8> {
        let mut text = Vec::new();
        let read = self.lines(path)?.read_to_end(&mut text);
        read.map_err(|error| broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| other_release(&error))
    }

    /// A good answer, to be read as it comes. Otherwise the exit code; why has been said.
    pub fn lines(&self, path: &str) -> Result<impl BufRead + use<'a>, u8> {
        self.ask(Method::GET, path, Vec::new())?.good()
    }
}

impl<'a> Answer<'a> {
    /// The body of a good answer. Otherwise the exit code; why has been said.
    pub fn good(self) -> Result<impl BufRead + use<'a>, u8> {
        if self.status.is_success() {
            return Ok(BufReader::new(self.body));
        }
        Err(self.refusal())
    }

    fn refusal(mut self) -> u8 {
        #[derive(Deserialize)]
        struct Refusal {
            error: Reason,
        }
        #[derive(Deserialize)]
        struct Reason {
            message: String,
            hint: Option<String>,
        }
        let code = match self.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::CONFLICT => exit::USAGE,
            StatusCode::METHOD_NOT_ALLOWED => exit::SOFTWARE,
            _ => exit::TEMPORARY,
        };
        let mut text = Vec::new();
        if let Err(error) = self.body.read_to_end(&mut text) {
            return broken(&error);
        }
        match serde_json::from_slice(&text) {
            Ok(Refusal { error: Reason { message, hint: Some(hint) } }) => refused(code, &format!("{message}. {hint}")),
            Ok(Refusal { error: Reason { message, hint: None } }) => refused(code, &message),
            Err(error) => other_release(&error),
        }
    }
}

async fn request(folder: &Path, method: Method, path: &str, body: Vec<u8>) -> io::Result<http::Response<Incoming>> {
    let Some(stream) = socket::connect(folder).await? else { return Err(io::ErrorKind::ConnectionRefused.into()) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the answer's body.
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
    sender.send_request(request).await.map_err(io::Error::other)
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.incoming.frame()) {
                None => return Ok(0),
                Some(frame) => self.rest = frame.map_err(io::Error::other)?.into_data().unwrap_or_default(),
            }
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn unusable(folder: &Path, error: &io::Error) -> String {
    let path = socket::path(folder);
    let shown = path.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        // Whether one listens cannot be seen either.
        let (owner, next) = (rights::ownership(&path), other_user(&rights::owner(&path)));
        return format!("cannot ask the host at {shown}: {error}; {owner}. {next}");
    }
    format!("cannot ask the host that listens on {shown}: {error}. Look at its log, and try again")
}

/// Says that an answer broke off, and gives the exit code.
pub fn broken(error: &io::Error) -> u8 {
    refused(exit::TEMPORARY, &format!("the running host broke off its answer: {error}. Look at its log, and try again"))
}

/// Says that an answer cannot be understood, and gives the exit code.
pub fn other_release(error: &serde_json::Error) -> u8 {
    let text = format!("the running host answers what this release does not know: {error}. Use the release that runs");
    refused(exit::SOFTWARE, &text)
}
