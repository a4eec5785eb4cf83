//! A server of NATS with JetStream, as far as publishing goes: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Broker, Protocol, Served};
use crate::conformance::all;
use crate::dialects::id_of;
use crate::far::{Act, State};
use crate::subject::{Situation, Subject, TAKEN};

/// One stream, which drops what it has by `Nats-Msg-Id`, and takes the subject `mail`.
struct JetStream;

/// A message that goes as it should, before the next that does not.
const WELL: Act = Act::Slow(Duration::ZERO);

impl Protocol for JetStream {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn refuses_known(&self) -> bool {
        true
    }

    fn may_double(&self, _: Situation) -> bool {
        false
    }

    /// An act is for one message.
    fn script(&self, situation: Situation, state: &mut State) -> bool {
        let acts = match situation {
            // JetStream has no resources, for one.
            Situation::Busy => vec![Act::Status(503, None); 3],
            // The stream has no leader: nobody answers for it.
            Situation::Failing => vec![Act::Status(0, None); 3],
            Situation::Slow => vec![Act::Slow(Duration::from_millis(200)), Act::Slow(Duration::from_secs(11))],
            Situation::CutBefore => vec![WELL, WELL, Act::CutBefore, WELL, Act::CutBefore],
            Situation::CutAfter => vec![WELL, WELL, Act::CutAfter, WELL, Act::CutAfter],
            Situation::Partial => [WELL, Act::Status(503, None)].repeat(10),
            // No answer says when to come again.
            Situation::BusyFor => return false,
            _ => Vec::new(),
        };
        state.script = acts.into();
        // Where it is slow, answers come when nobody waits for them any more.
        state.answers_count = !matches!(situation, Situation::Slow | Situation::Restart);
        match situation {
            Situation::TooLong => state.too_long = Some(TAKEN),
            Situation::Restart => state.slow = Duration::from_millis(2),
            _ => {}
        }
        true
    }

    fn keys(&self, address: &str, tls: bool) -> String {
        let scheme = if tls { "tls" } else { "nats" };
        format!(
            "type = \"nats\"\nurl = \"{scheme}://{address}\"\nsubject = \"mail\"\nmax_in_flight = 64\nauth = {{ strategy = \"user_password\", user = \"me\", password = \"hunter22\" }}"
        )
    }

    fn hint(&self, situation: Situation) -> &'static str {
        match situation {
            Situation::Expired => "`auth`",
            Situation::Untrusted => "`tls.ca_file`",
            _ => "`url`",
        }
    }

    fn serve(self: Arc<Self>, mut stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) -> Served {
        Box::pin(async move {
            let most = state.lock().unwrap().too_long.unwrap_or(1 << 20);
            let info = json!({
                "server_id": "FAR", "server_name": "far", "version": "2.12.0", "proto": 1, "go": "", "host": "127.0.0.1",
                "port": 4222, "headers": true, "max_payload": most, "jetstream": true, "tls_required": tls.is_some(),
            });
            stream.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
            match tls {
                None => converse(stream, &state).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => converse(stream, &state).await,
                    Err(error) => {
                        state.lock().unwrap().turned_away += 1;
                        Err(error)
                    }
                },
            }
        })
    }

    fn tries(&self) -> u64 {
        3
    }
}

/// Until the client goes, or the script has it cut.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &Mutex<State>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut inboxes = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words[..] {
            ["PING"] => b"PONG\r\n".to_vec(),
            ["CONNECT", ..] => {
                let locked = {
                    let mut state = state.lock().unwrap();
                    let said: Value = serde_json::from_str(line.trim_start_matches("CONNECT")).unwrap();
                    if said["user"] != "me" || said["pass"] != "hunter22" || said["headers"] != true {
                        state.breach(line.clone());
                    }
                    state.turned_away += u64::from(state.locked);
                    state.locked
                };
                if locked {
                    return stream.write_all(b"-ERR 'Authorization Violation'\r\n").await;
                }
                Vec::new()
            }
            ["SUB", _, number] => {
                inboxes = number.to_owned();
                Vec::new()
            }
            ["PUB", subject, reply, length] => {
                message(&mut stream, length).await?;
                answer(reply, &inboxes, "", &api(subject))
            }
            ["HPUB", subject, reply, head, length] => {
                let (subject, reply, head) = (subject.to_owned(), reply.to_owned(), head.parse::<usize>().unwrap());
                let message = message(&mut stream, length).await?;
                match published(state, &subject, &message[..head], &message[head..]).await {
                    None => return Ok(()),
                    // As the server says that nobody listens on a subject.
                    Some(Value::Null) => answer(&reply, &inboxes, "NATS/1.0 503\r\n\r\n", ""),
                    Some(said) => answer(&reply, &inboxes, "", &said.to_string()),
                }
            }
            ["PONG"] | ["UNSUB", ..] => Vec::new(),
            _ => {
                state.lock().unwrap().breach(line.clone());
                return Ok(());
            }
        };
        stream.write_all(&said).await?;
        stream.flush().await?;
    }
}

async fn message(stream: &mut (impl AsyncRead + Unpin), length: &str) -> io::Result<Vec<u8>> {
    let mut message = vec![0; length.parse::<usize>().unwrap() + 2];
    stream.read_exact(&mut message).await?;
    message.truncate(message.len() - 2);
    Ok(message)
}

fn answer(reply: &str, inboxes: &str, head: &str, text: &str) -> Vec<u8> {
    let all = head.len() + text.len();
    match head {
        "" => format!("MSG {reply} {inboxes} {all}\r\n{text}\r\n"),
        _ => format!("HMSG {reply} {inboxes} {} {all}\r\n{head}{text}\r\n", head.len()),
    }
    .into()
}

/// What JetStream says of its streams.
fn api(subject: &str) -> String {
    let answer = match subject {
        "$JS.API.STREAM.NAMES" => json!({
            "type": "io.nats.jetstream.api.v1.stream_names_response", "total": 1, "offset": 0, "limit": 1024,
            "streams": ["MAIL"],
        }),
        _ => json!({"error": {"code": 404, "err_code": 10059, "description": "not here"}}),
    };
    answer.to_string()
}

/// The stream's answer; null, if nobody answers for it; none, if the connection ends here.
async fn published(state: &Mutex<State>, subject: &str, head: &[u8], body: &[u8]) -> Option<Value> {
    let (act, slow) = {
        let mut state = state.lock().unwrap();
        (state.script.pop_front(), state.slow)
    };
    tokio::time::sleep(slow).await;
    match act {
        None => {}
        Some(Act::Slow(time)) => tokio::time::sleep(time).await,
        Some(act @ (Act::CutBefore | Act::CutAfter)) => {
            if matches!(act, Act::CutAfter) {
                let mut state = state.lock().unwrap();
                store(&mut state, subject, head, body);
                state.unanswered.insert(id_of(std::str::from_utf8(body).unwrap()));
            }
            // What was answered before has been read by then.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return None;
        }
        Some(Act::Status(0, _)) => return Some(Value::Null),
        Some(_) => return Some(error(503, 10_008, "JetStream system temporarily unavailable")),
    }
    Some(store(&mut state.lock().unwrap(), subject, head, body))
}

fn store(state: &mut State, subject: &str, head: &[u8], body: &[u8]) -> Value {
    let id = id_of(std::str::from_utf8(body).unwrap());
    let expected = format!("NATS/1.0\r\nNats-Msg-Id: far:{id:032x}\r\n\r\n");
    if subject != "mail" || head != expected.as_bytes() || state.too_long.is_some_and(|most| body.len() > most) {
        state.breach(format!("{subject} {}", String::from_utf8_lossy(head)));
    }
    if state.refuses.contains(&id) {
        state.deliveries.push(Instant::now());
        // Longer than the stream's `max_msg_size`.
        return error(400, 10_054, "message size exceeds maximum allowed");
    }
    if state.stored.contains_key(&id) {
        state.known += 1;
        if state.answers_count && !state.unanswered.remove(&id) {
            state.breach(format!("{id:032x} comes again, though it was acknowledged"));
        }
        return json!({"stream": "MAIL", "seq": 1, "duplicate": true});
    }
    state.store(id);
    json!({"stream": "MAIL", "seq": state.stored.len()})
}

fn error(code: u16, number: u32, description: &str) -> Value {
    json!({"error": {"code": code, "err_code": number, "description": description}})
}

#[tokio::test(flavor = "multi_thread")]
async fn nats() {
    all("nats", async |situation| Box::new(Broker::new(Arc::new(JetStream), situation).await) as Box<dyn Subject>)
        .await;
}
