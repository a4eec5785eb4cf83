//! A cluster of one broker, as far as producing goes: <https://kafka.apache.org/protocol>.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::records::{Reader, RecordBatch, Writer};
use super::{Broker, Protocol, Served};
use crate::conformance::all;
use crate::dialects::id_of;
use crate::far::{Act, State};
use crate::subject::{Situation, Subject, TAKEN};

const TOPIC: &str = "mail";
const PARTITIONS: i32 = 2;

// What a request asks for, and the newest form of it that is spoken here: nothing is of the flexible kind.
const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;
const SASL_AUTHENTICATE: i16 = 36;
/// Fetch is not spoken; a client takes it for a sign that record batches are.
const SPOKEN: [(i16, i16, i16); 7] = [
    (PRODUCE, 8, 8),
    (1, 4, 4),
    (METADATA, 4, 4),
    (SASL_HANDSHAKE, 1, 1),
    (API_VERSIONS, 0, 0),
    (INIT_PRODUCER_ID, 0, 1),
    (SASL_AUTHENTICATE, 1, 1),
];

// Errors.
const UNKNOWN_SERVER_ERROR: u16 = u16::MAX;
const NOT_LEADER_OR_FOLLOWER: u16 = 6;
const MESSAGE_TOO_LARGE: i16 = 10;
const NOT_ENOUGH_REPLICAS: u16 = 19;
const UNSUPPORTED_VERSION: i16 = 35;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const KAFKA_STORAGE_ERROR: u16 = 56;
const SASL_AUTHENTICATION_FAILED: i16 = 58;
const INVALID_RECORD: i16 = 87;

/// A request that goes as it should, before the next that does not.
const WELL: Act = Act::Slow(Duration::ZERO);

/// By its id and its epoch.
type Producer = (i64, i16);

/// In a partition: the number that a producer's next batch must have, and those of earlier ones.
type Sequence = (i32, Vec<i32>);

/// Drops batches that a producer sends again, by their sequence numbers.
#[derive(Default)]
struct Cluster {
    sequences: Mutex<BTreeMap<(Producer, i32), Sequence>>,
    producers: Mutex<i64>,
}

impl Protocol for Cluster {
    fn name(&self) -> &'static str {
        "kafka"
    }

    /// Only what the same producer sends again.
    fn refuses_known(&self) -> bool {
        false
    }

    fn may_double(&self, situation: Situation) -> bool {
        situation == Situation::Restart
    }

    /// An act is for one request with a batch.
    fn script(&self, situation: Situation, state: &mut State) -> bool {
        let status = |code| Act::Status(code, None);
        let acts = match situation {
            Situation::Busy => vec![status(NOT_ENOUGH_REPLICAS); 2],
            Situation::Failing => {
                [NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR, UNKNOWN_SERVER_ERROR].map(status).to_vec()
            }
            Situation::Slow => vec![Act::Slow(Duration::from_millis(200)), Act::Slow(Duration::from_secs(3))],
            Situation::CutBefore => vec![WELL, Act::CutBefore, WELL, Act::CutBefore],
            Situation::CutAfter => vec![WELL, Act::CutAfter, WELL, Act::CutAfter],
            Situation::Partial => [WELL, status(UNKNOWN_SERVER_ERROR)].repeat(3),
            // A broker that throttles a client does not answer until it is over: that is slow.
            Situation::BusyFor => return false,
            _ => Vec::new(),
        };
        state.script = acts.into();
        match situation {
            Situation::TooLong => state.too_long = Some(TAKEN),
            Situation::Restart => state.slow = Duration::from_millis(50),
            _ => {}
        }
        true
    }

    fn keys(&self, address: &str, tls: bool) -> String {
        let options = "{ \"batch.num.messages\" = 20, \"socket.timeout.ms\" = 1000 }";
        let sasl = "{ mechanism = \"PLAIN\", username = \"me\", password = \"hunter22\" }";
        format!(
            "type = \"kafka\"\nbootstrap_servers = \"{address}\"\ntopic = \"{TOPIC}\"\nlibrdkafka_options = {options}\nsasl = {sasl}\ntls.enabled = {tls}"
        )
    }

    fn hint(&self, situation: Situation) -> &'static str {
        match situation {
            Situation::Expired => "`sasl`",
            Situation::Untrusted => "`tls.ca_file`",
            _ => "`bootstrap_servers`",
        }
    }

    fn serve(self: Arc<Self>, stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) -> Served {
        Box::pin(async move {
            let port = stream.local_addr()?.port();
            match tls {
                None => self.converse(stream, port, &state).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => self.converse(stream, port, &state).await,
                    Err(error) => {
                        state.lock().unwrap().turned_away += 1;
                        Err(error)
                    }
                },
            }
        })
    }

    /// The client tries again by itself, within a delivery.
    fn tries(&self) -> u64 {
        1
    }
}

impl Cluster {
    /// Until the client goes, or the script has it cut.
    async fn converse<S>(&self, mut stream: S, port: u16, state: &Mutex<State>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut request = vec![0; stream.read_u32().await? as usize];
            stream.read_exact(&mut request).await?;
            let mut request = Reader(&request);
            let (kind, version, number) = (request.i16(), request.i16(), request.i32());
            request.text();
            let answer = Writer::default().i32(number);
            let answer = match kind {
                API_VERSIONS => {
                    let error = if version > 0 { UNSUPPORTED_VERSION } else { 0 };
                    answer.i16(error).all(SPOKEN, |answer, (kind, from, to)| answer.i16(kind).i16(from).i16(to))
                }
                SASL_HANDSHAKE => answer.i16(0).all(["PLAIN"], Writer::text),
                SASL_AUTHENTICATE => {
                    let length = request.i32() as usize;
                    let said = request.bytes(length);
                    let mut state = state.lock().unwrap();
                    if said != b"\0me\0hunter22" {
                        state.breach(format!("{said:?}"));
                    }
                    state.turned_away += u64::from(state.locked);
                    let error = if state.locked { SASL_AUTHENTICATION_FAILED } else { 0 };
                    answer.i16(error).text("who are you?").i32(0).i64(0)
                }
                METADATA => metadata(answer, port),
                INIT_PRODUCER_ID => {
                    let mut producers = self.producers.lock().unwrap();
                    *producers += 1;
                    answer.i32(0).i16(0).i64(*producers).i16(0)
                }
                PRODUCE => match self.produce(request, answer, state).await {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
                _ => {
                    state.lock().unwrap().breach(format!("a request of the kind {kind}"));
                    return Ok(());
                }
            };
            stream.write_u32(answer.0.len() as u32).await?;
            stream.write_all(&answer.0).await?;
            stream.flush().await?;
        }
    }

    /// None, if the connection ends here.
    async fn produce(&self, mut request: Reader<'_>, answer: Writer, state: &Mutex<State>) -> Option<Writer> {
        let (act, slow) = {
            let mut state = state.lock().unwrap();
            let acks = (request.text(), request.i16());
            if acks != (None, -1) {
                state.breach(format!("a transaction, or not all replicas: {acks:?}"));
            }
            (state.script.pop_front(), state.slow)
        };
        request.i32();
        tokio::time::sleep(slow).await;
        match act {
            Some(Act::Slow(time)) => tokio::time::sleep(time).await,
            Some(Act::CutBefore) => return None,
            _ => {}
        }
        let forced = match act {
            Some(Act::Status(code, _)) => Some(code as i16),
            _ => None,
        };
        // One topic, and of it one partition: the client asks so.
        let heads = (request.i32(), request.text(), request.i32());
        let partition = request.i32();
        let length = request.i32() as usize;
        if heads != (1, Some(TOPIC), 1) || !(0..PARTITIONS).contains(&partition) {
            state.lock().unwrap().breach(format!("{heads:?} {partition}"));
        }
        let bytes = request.bytes(length);
        let (error, bad) = match forced {
            Some(error) => (error, Vec::new()),
            None => self.store(partition, bytes, &mut state.lock().unwrap()),
        };
        if matches!(act, Some(Act::CutAfter)) {
            return None;
        }
        let answer = answer.i32(1).text(TOPIC).i32(1).i32(partition).i16(error).i64(0).i64(-1).i64(0);
        let answer = answer.all(bad, |answer, index| answer.i32(index).text("bad"));
        // No word about all of it, and no wait.
        Some(answer.none().i32(0))
    }

    /// The error, and which records of the batch are to blame.
    fn store(&self, partition: i32, bytes: &[u8], state: &mut State) -> (i16, Vec<i32>) {
        if state.too_long.is_some_and(|most| bytes.len() > most) {
            return (MESSAGE_TOO_LARGE, Vec::new());
        }
        let batch = RecordBatch::read(bytes);
        let ids: Vec<u128> =
            batch.records.iter().map(|record| id_of(std::str::from_utf8(record.value).unwrap())).collect();
        for (record, id) in batch.records.iter().zip(&ids) {
            let name = format!("{id:032x}");
            let times = 1_795_331_289_000..1_795_331_289_000 + 1_000 * crate::feed::EVENTS as i64;
            let headers = [(&b"tributary-id"[..], name.as_bytes())];
            if record.key != name.as_bytes() || record.headers != headers || !times.contains(&record.time) {
                state.breach(format!("{name} {:?} {}", record.headers, record.time));
            }
        }
        let bad: Vec<i32> = (0..).zip(&ids).filter(|(_, id)| state.refuses.contains(id)).map(|(at, _)| at).collect();
        if !bad.is_empty() {
            state.deliveries.push(Instant::now());
            return (INVALID_RECORD, bad);
        }
        let mut sequences = self.sequences.lock().unwrap();
        let (next, earlier) = sequences.entry((batch.producer, partition)).or_default();
        if earlier.contains(&batch.sequence) {
            state.known += ids.len() as u64;
            return (0, Vec::new());
        }
        if batch.sequence != *next {
            return (OUT_OF_ORDER_SEQUENCE_NUMBER, Vec::new());
        }
        earlier.push(batch.sequence);
        *next += ids.len() as i32;
        ids.iter().for_each(|id| state.store(*id));
        (0, Vec::new())
    }
}

/// Of the one broker that leads all partitions of the one topic.
fn metadata(answer: Writer, port: u16) -> Writer {
    let broker = |answer: Writer, number| answer.i32(number).text("localhost").i32(port.into()).none();
    let partition = |answer: Writer, index| {
        let alone = |answer: Writer, number| answer.i32(number);
        answer.i16(0).i32(index).i32(1).all([1], alone).all([1], alone)
    };
    let answer = answer.i32(0).all([1], broker).none().i32(1);
    answer.all([TOPIC], |answer, topic| answer.i16(0).text(topic).flag(false).all(0..PARTITIONS, partition))
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka() {
    all("kafka", async |situation| {
        Box::new(Broker::new(Arc::new(Cluster::default()), situation).await) as Box<dyn Subject>
    })
    .await;
}
